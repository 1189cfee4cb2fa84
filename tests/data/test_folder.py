"""A folder of one's own pictures, with and without captions.csv, tidy and untidy."""

from pathlib import Path

import pytest
from layouts import picture

from icl_lib.data import captions, check, fingerprint, images, read_folder

TIDY = 'file,caption,person\na.jpg,"a man, in red",Anna\ndeep/c.jpg,"a ""tall"" man",\n'


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(["a.jpg", "b.png", "deep/c.jpg"]):
        picture(tmp_path / name, seed=index)
    return tmp_path


def test_a_folder_without_captions_is_a_gallery(folder):
    for name in (".hidden/d.jpg", "notes.txt.jpg"):
        picture(folder / name, seed=7)
    (folder / "notes.txt.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match=r"notes\.txt\.jpg"):
        table = read_folder(folder)
    assert [Path(path).name for path in table["path"]] == ["a.jpg", "b.png", "c.jpg"]
    assert table["pid"].tolist() == [0, 1, 2] and set(table["split"]) == {"test"}
    assert len(captions(table)) == 0 and table["caption_id"].eq(-1).all()


def test_captions_and_persons_come_from_captions_csv(folder):
    rows = [
        "file,caption,person",
        'a.jpg,"a man, in\nred",Anna',
        "deep/c.jpg,a tall man,Anna",
        "a.jpg,a man again,Anna",
        "gone.jpg,x,",
        "../b.png,x,",
        "b.png,,Bo",
        "a.jpg,x,Bo",
        "a.jpg,a man, too,Anna",
        "nowhere/d.jpg,x,",
    ]
    (folder / "captions.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    with pytest.warns(UserWarning, match="missing folder nowhere: 1 records, of test"):
        table = read_folder(folder)
    assert table["pid"].tolist() == [0, 0, 1, 0] and table.attrs["persons"] == {0: "Anna", 1: "Bo"}
    assert captions(table)["caption"].tolist() == ["a man, in\nred", "a man again", "a tall man"]
    assert len(images(table)) == 3 and fingerprint(table)
    counted = {kind: n for kind, n in table.attrs["report"].items() if n}
    assert counted == {
        "missing_folder": 1,
        "missing_picture": 1,
        "unsafe_path": 1,
        "empty_caption": 1,
        "wrong_type": 2,
    }
    assert any("line 10: it has more values" in told for told in table.attrs["problems"])
    with pytest.raises(ValueError, match=r"captions\.csv: missing folder nowhere"):
        read_folder(folder, strict=True)
    (folder / "captions.csv").write_text("\n".join(rows[:-1]))
    with pytest.raises(ValueError, match=r"captions\.csv, line 6"):
        read_folder(folder, strict=True)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_read(folder, separator):
    (folder / "captions.csv").write_text(TIDY)
    tidy = read_folder(folder, strict=True)
    assert tidy.attrs["read_as"] == {}
    quoted = TIDY.replace(",", separator).replace(f"man{separator} in", "man, in")
    (folder / "captions.csv").write_text(quoted)
    table = read_folder(folder, strict=True)
    assert table.equals(tidy) and captions(table)["caption"][0] == "a man, in red"
    assert table.attrs["read_as"]["separator"]["count"] == 1
    shown = check(table).set_index("check")
    assert repr(separator) in shown.loc["read as: separator", "verdict"]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("file,caption,person", "File,CAPTION,Person", "column"),
        ("file,caption,person", " file , caption , person ", "column"),
        ("file,caption,person", '"file","Captions","person"', "column"),
        ("deep/c.jpg", "deep\\c.jpg", "file"),
        ("a.jpg", "./a.jpg", "file"),
        ("a.jpg", "imgs/a.jpg", "file"),
        ("a.jpg", "{folder}/a.jpg", "file"),
        ("a.jpg", '"a.jpg"', None),
        (",", ", ", None),
        ("\n", "\r\n", None),
        ("\n", "\n\n", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_untidy_captions_csv_is_read(folder, old, new, field, encoding):
    text = TIDY.replace("a man, in red", "a mañ, in red")
    (folder / "captions.csv").write_text(text, encoding="utf-8")
    tidy = read_folder(folder, strict=True)
    changed = text.replace(old, new.replace("{folder}", folder.name))
    changed = changed.replace("mañ,  in", "mañ, in")
    (folder / "captions.csv").write_bytes(changed.encode(encoding))
    table = read_folder(folder, strict=True)
    assert table.equals(tidy) and table.attrs["persons"] == tidy.attrs["persons"]
    assert set(table.attrs["read_as"]) == ({field} if field else set())


def test_a_path_that_may_be_two_pictures_is_refused(folder):
    picture(folder / "imgs/a.jpg", seed=9)
    (folder / "captions.csv").write_text("file,caption\nimgs/a.jpg,one\nb.png,two\n")
    with pytest.warns(UserWarning, match=r"line 2: file 'imgs/a\.jpg' may be .*both files exist"):
        table = read_folder(folder)
    assert captions(table)["caption"].tolist() == ["two"]


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not one usable picture"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name;text\na.jpg;x\n", "needs the columns file, caption.*it has name, text"),
        ("", "needs the columns file, caption.*it has none"),
        ("file,person\na.jpg,x\n", "needs the columns file, caption"),
        ("file,caption,Caption\na.jpg,x,y\n", "'caption' and 'Caption' both mean the caption"),
        ("file,caption,captions\na.jpg,x,y\n", "'caption' and 'captions' both mean the caption"),
        ("file,FILE,caption\na.jpg,x,y\n", "'file' and 'FILE' both mean the file"),
    ],
)
def test_a_table_without_clear_columns_is_refused(folder, text, told):
    (folder / "captions.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        read_folder(folder)


def test_a_table_in_another_encoding_is_refused(folder):
    (folder / "captions.csv").write_bytes("file,caption\na.jpg,mañana\n".encode("latin-1"))
    with pytest.raises(ValueError, match="Save it as 'CSV UTF-8'"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('a.jpg,"a tall man', "after line 1 .unexpected end of data"),
        ('a.jpg,"a "tall" man"', "after line 1 .*expected after"),
        ('b.png,a boy\na.jpg,"a tall man', "after line 2 .unexpected end of data"),
    ],
)
def test_an_open_quote_swallows_no_rows(folder, row, told):
    (folder / "captions.csv").write_text(f"file,caption\n{row}\ndeep/c.jpg,a girl\n")
    with pytest.raises(ValueError, match=f"{told}.*Close every double quote"):
        read_folder(folder)


def test_a_caption_may_hold_bare_quotes(folder):
    (folder / "captions.csv").write_text('file,caption\na.jpg,a "tall" man of 5\' 11"\n')
    assert captions(read_folder(folder, strict=True))["caption"][0] == 'a "tall" man of 5\' 11"'
