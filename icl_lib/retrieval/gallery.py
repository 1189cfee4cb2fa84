"""The gallery: image vectors in a FAISS index, exact or approximate, searched by text vectors."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np

from icl_lib.params import Params
from icl_lib.results import atomic_path, read_json, write_json
from icl_lib.retrieval.faiss_index import read_index, reason, trained_index


def fingerprint(vectors: np.ndarray) -> str:
    """16 hex digits that only the same float32 vectors [G, D] share, bit for bit."""
    vectors = _matrix(vectors)
    hashed = hashlib.sha256(json.dumps(vectors.shape).encode())
    hashed.update(vectors)
    return hashed.hexdigest()[:16]


class Gallery:
    """Unit vectors [G, D], searched by inner product, which is S for every backbone of this kit.

    Args:
        vectors: [G, D]; the row numbers are the gallery columns of all results.
        factory: FAISS's recipe of the index. "Flat" is exact; the others trade recall for time or
            memory ("HNSW32", "IVF1024,PQ16", …). An index that needs training is trained on
            `vectors`.
        options: the index's search parameters, such as "nprobe=16" or "efSearch=64".
        source: what made the vectors, such as a backbone's folder; compared when a saved gallery is
            loaded.

    Attributes:
        vectors: the vectors as float32; None in a gallery that was loaded without them.
        index: the FAISS index.

    Raises:
        ValueError: FAISS does not know the recipe, cannot train on so few vectors, or the index
            does not have these options.
    """

    def __init__(
        self, vectors: np.ndarray, factory: str = "Flat", options: str = "", source: str = ""
    ):
        vectors = _matrix(vectors)
        index = trained_index(vectors, factory)
        index.add(vectors)
        self._fill(index, vectors, factory, options, source)

    @classmethod
    def of(cls, params: Params, vectors: np.ndarray, source: str = "") -> "Gallery":
        """The gallery with the index of params.backbone.index and index_options."""
        return cls(vectors, params.backbone.index, params.backbone.index_options, source)

    def __len__(self) -> int:
        return self.index.ntotal

    @cached_property
    def fingerprint(self) -> str:
        """`fingerprint` of the vectors that the index was made from."""
        return fingerprint(self.vectors)

    def set_options(self, options: str) -> "Gallery":
        """Sets search parameters, "name=value,name=value", and returns the gallery itself.

        An empty text changes nothing.
        """
        import faiss

        try:
            if options:
                faiss.ParameterSpace().set_index_parameters(self.index, options)
        except RuntimeError as error:
            raise ValueError(
                f"an index {self.factory!r} has no search options {options!r} ({reason(error)}): "
                "IVF takes nprobe=…, HNSW efSearch=…, Flat none."
            ) from None
        self.options = options
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best images of each query; k is cut to the gallery's size.

        Equal scores come in ascending order of column, as in `ranking`; only which of several
        images tied at rank k are returned is up to FAISS.

        Args:
            queries: [Q, D].
            k: number of images per query.

        Returns:
            Scores [Q, k] float32, descending, and columns [Q, k] int64. An approximate index that
            looked at fewer than k images fills up with column −1 and the lowest score.
        """
        queries, k = self._checked(queries), min(int(k), len(self))
        if k < 1:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        scores, columns = self.index.search(queries, k)
        order = np.lexsort((columns, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(columns, order, 1)

    def similarity(self, queries: np.ndarray) -> np.ndarray:
        """S of every query and every image [Q, G] float32, exact for every index."""
        if self.vectors is None:
            raise ValueError(
                "this gallery was loaded without its vectors: give Gallery.load(path, vectors=…)"
            )
        return self._checked(queries) @ self.vectors.T

    def bytes(self) -> int:
        """Size of the index in bytes, as saved."""
        import faiss

        return faiss.serialize_index(self.index).nbytes

    def save(self, path: Path | str) -> Path:
        """Writes the index to `path`; its recipe, size, fingerprint and source to <path>.json."""
        import faiss

        path = Path(path)
        about = {
            "factory": self.factory,
            "options": self.options,
            "items": len(self),
            "dimensions": self.index.d,
            "fingerprint": self.fingerprint,
            "source": self.source,
        }
        _about(path).unlink(missing_ok=True)  # never an old description beside a new index
        with atomic_path(path) as temp:
            faiss.write_index(self.index, str(temp))
        write_json(_about(path), about)
        return path

    @classmethod
    def load(
        cls,
        path: Path | str,
        vectors: np.ndarray | None = None,
        source: str | None = None,
        mmap: bool = True,
    ) -> "Gallery":
        """The gallery that `save` wrote.

        Give `vectors`, `source` or both, so that the index of another model is never searched.

        Args:
            path: the file that `save` wrote.
            vectors: the vectors that the index should be of; they may be a np.memmap.
            source: the `source` that it should have been made with.
            mmap: leave the index on disk, to be read as searches need it.

        Raises:
            FileNotFoundError: there is no saved gallery.
            ValueError: the index was made from something else, or the file is damaged.
        """
        path = Path(path)
        if not path.is_file() or not _about(path).is_file():
            raise FileNotFoundError(
                f"no saved gallery at {path} with {_about(path).name} beside it: make one with "
                "Gallery(vectors, …).save(path)."
            )
        if vectors is None and source is None:
            raise ValueError(
                "say what the index should be of: Gallery.load(path, vectors=…) or source=…"
            )
        about = read_json(_about(path))
        saved = (
            f"{path} is the index of {about['items']:,} vectors of {about['dimensions']} dimensions"
        )
        if source is not None and source != about["source"]:
            raise ValueError(
                f"{saved} made by {about['source']!r}, not by {source!r}. It belongs to another "
                "model or gallery: make and save it again."
            )
        if vectors is not None and fingerprint(vectors) != about["fingerprint"]:
            raise ValueError(
                f"{saved} that are not the {len(vectors):,} given here. It belongs to another "
                "model or gallery: make and save it again."
            )
        index = read_index(path, mmap)
        if (index.ntotal, index.d) != (about["items"], about["dimensions"]):
            raise ValueError(
                f"{path} holds {index.ntotal} vectors of {index.d} dimensions, but "
                f"{_about(path).name} says {about['items']} of {about['dimensions']}: make and "
                "save it again"
            )
        gallery = cls.__new__(cls)
        kept = None if vectors is None else _matrix(vectors)
        gallery._fill(index, kept, about["factory"], about["options"], about["source"])
        gallery.fingerprint = about["fingerprint"]
        return gallery

    def _fill(self, index, vectors, factory: str, options: str, source: str) -> None:
        self.index, self.vectors, self.factory, self.source = index, vectors, factory, source
        self.set_options(options)

    def _checked(self, queries: np.ndarray) -> np.ndarray:
        queries = _matrix(queries)
        if queries.shape[1] != self.index.d:
            raise ValueError(
                f"queries have {queries.shape[1]} dimensions, but the gallery {self.index.d}: "
                "encode both with the same backbone"
            )
        return queries


def _about(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _matrix(vectors) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be a matrix [items, dimensions], got shape {vectors.shape}")
    return vectors
