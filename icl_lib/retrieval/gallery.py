"""The gallery: image vectors in a FAISS inner-product index, exact or not, searched by text vectors."""

import hashlib
import json
from pathlib import Path

import numpy as np

from icl_lib.params import Params
from icl_lib.results import atomic_path, read_json, write_json
from icl_lib.retrieval.faiss_index import _inside, _short, _trained

_MAPPED = (
    "IO_FLAG_MMAP_IFC"  # maps what IO_FLAG_MMAP does and flat codes too; FAISS before 1.10 lacks it
)


def _about(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _matrix(vectors) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be a matrix [items, dimensions], got shape {vectors.shape}")
    return vectors


def _same_source(path: Path, about: dict, vectors, source: str | None) -> None:
    told = f"{path} is the index of {about['items']:,} vectors of {about['dimensions']} dimensions"
    again = "It belongs to another model or gallery: make and save it again."
    if source is not None and source != about["source"]:
        raise ValueError(f"{told} made by {about['source']!r}, not by {source!r}. {again}")
    if vectors is not None and fingerprint(vectors) != about["fingerprint"]:
        raise ValueError(
            f"{told} that are not the {len(vectors):,} given here (fingerprint "
            f"{about['fingerprint']}, not {fingerprint(vectors)}). {again}"
        )


def fingerprint(vectors: np.ndarray) -> str:
    """16 hex digits of the vectors [G, D] as float32, bit for bit: the same only for the same vectors."""
    vectors = _matrix(vectors)
    told = hashlib.sha256(json.dumps(vectors.shape).encode())
    for start in range(0, len(vectors), 65536):  # a memory-mapped array is read piece by piece
        told.update(vectors[start : start + 65536])
    return told.hexdigest()[:16]


class Gallery:
    """Unit vectors [G, D] searchable by inner product, which is S for every backbone of this kit.

    `vectors` keeps them as float32, C-contiguous; row numbers are gallery columns everywhere else. `factory`
    is FAISS's recipe of the index: "Flat" is exact, the others trade recall for time or memory ("HNSW32",
    "IVF1024,PQ16", …); one that needs training is trained on these vectors. `options` are its search
    parameters, such as "nprobe=16" or "efSearch=64". `source` says what made the vectors (a backbone's folder
    name, say), to be compared when a saved index is loaded. Raises ValueError for a recipe that FAISS does
    not know or cannot train on so few vectors, and for options that the index does not have.
    """

    def __init__(
        self, vectors: np.ndarray, factory: str = "Flat", options: str = "", source: str = ""
    ):
        vectors = _matrix(vectors)
        index = _trained(vectors, factory)
        index.add(vectors)
        self._describe(index, vectors, factory, source, options)

    @classmethod
    def of(cls, params: Params, vectors: np.ndarray, source: str = "") -> "Gallery":
        """The gallery as params.backbone.index and index_options want it."""
        return cls(vectors, params.backbone.index, params.backbone.index_options, source)

    def _describe(
        self, index, vectors: np.ndarray | None, factory: str, source: str, options: str
    ) -> None:
        self.index, self.factory, self.source, self._fingerprint = index, factory, source, None
        # One copy of the vectors is enough: FAISS's own, where it keeps them as they are.
        self.vectors = _inside(index) if factory == "Flat" else vectors
        self.set_options(options)

    def __len__(self) -> int:
        return self.index.ntotal

    @property
    def fingerprint(self) -> str:
        """`fingerprint` of the vectors that the index was made from."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.vectors)
        return self._fingerprint

    def set_options(self, options: str) -> "Gallery":
        """Sets FAISS's search parameters, "name=value,name=value" ("" changes nothing); returns itself."""
        import faiss

        try:
            if options:
                faiss.ParameterSpace().set_index_parameters(self.index, options)
        except RuntimeError as error:
            raise ValueError(
                f"an index {self.factory!r} has no search options {options!r} "
                f"({_short(error)}): IVF takes nprobe=…, HNSW efSearch=…, Flat none."
            ) from None
        self.options = options
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best images of each query: scores [Q, k] descending float32 and columns [Q, k] int64.

        k is cut to the gallery's size. Equal scores come in ascending order of column, as in a stable
        descending argsort; only which of several images tied AT rank k are returned is FAISS's choice. An
        approximate index that looked at fewer than k images gives column −1 with the lowest score for the
        rest.
        """
        queries, k = self._fitting(queries), min(int(k), len(self))
        if k < 1:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        scores, columns = self.index.search(queries, k)
        order = np.lexsort((columns, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(columns, order, 1)

    def similarity(self, queries: np.ndarray) -> np.ndarray:
        """S of every query with every image [Q, G], float32; exact whatever the index."""
        if self.vectors is None:
            raise ValueError(
                f"this gallery was loaded without its vectors, and an index {self.factory!r} "
                "does not hold them: give Gallery.load(path, vectors=…)"
            )
        return self._fitting(queries) @ self.vectors.T

    def bytes(self) -> int:
        """Size of the index in bytes, as saved."""
        import faiss

        size = 0

        def count(piece: bytes) -> None:
            nonlocal size
            size += len(piece)

        # Counted as it is written: measuring a large index needs no second one in memory.
        writer = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(count))
        faiss.write_index(self.index, writer)
        del writer  # flushes
        return size

    def save(self, path: Path | str) -> Path:
        """Writes the index to `path` and what it is (recipe, size, fingerprint, source) to <path>.json."""
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
        """The gallery that `save` wrote; with `mmap` it stays on disk and is read as searches need it.

        Say what should be inside, so that the index of another model is never searched: the `vectors` [G, D]
        themselves (they may be a np.memmap), or the `source` that the gallery was made with, or both. Raises
        ValueError if that is not what the index was made from, FileNotFoundError if nothing is there.
        """
        import faiss

        path = Path(path)
        if not path.is_file() or not _about(path).is_file():
            raise FileNotFoundError(
                f"no saved gallery at {path} with {_about(path).name} beside it: make "
                "one with Gallery(vectors, …).save(path)."
            )
        if vectors is None and source is None:
            raise ValueError(
                "say what the index should be of: Gallery.load(path, vectors=…) or source=…"
            )
        about = read_json(_about(path))
        _same_source(path, about, vectors, source)
        try:
            index = faiss.read_index(
                str(path), getattr(faiss, _MAPPED, faiss.IO_FLAG_MMAP) if mmap else 0
            )
        except RuntimeError as error:
            raise ValueError(
                f"{path} cannot be read as an index ({_short(error)}): make and save it again"
            ) from None
        if (index.ntotal, index.d) != (about["items"], about["dimensions"]):
            raise ValueError(
                f"{path} holds {index.ntotal} vectors of {index.d} dimensions, "
                f"{_about(path).name} says {about['items']} of {about['dimensions']}: make and "
                "save it again"
            )
        gallery = cls.__new__(cls)
        kept = _matrix(vectors) if vectors is not None else None
        gallery._describe(index, kept, about["factory"], about["source"], about["options"])
        gallery._fingerprint = about["fingerprint"]
        return gallery

    def _fitting(self, queries: np.ndarray) -> np.ndarray:
        queries = _matrix(queries)
        if queries.shape[1] != self.index.d:
            raise ValueError(
                f"queries have {queries.shape[1]} dimensions, the gallery {self.index.d}: "
                "encode both with the same backbone"
            )
        return queries
