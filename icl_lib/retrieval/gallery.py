"""The gallery: image vectors in a FAISS inner-product index, searched by text vectors."""

import numpy as np


class Gallery:
    """Unit vectors [G, D] searchable by inner product, which is S for every backbone of this kit.

    `vectors` keeps them as float32, C-contiguous; row numbers are gallery columns everywhere else.
    """

    def __init__(self, vectors: np.ndarray):
        import faiss

        self.vectors = _matrix(vectors)
        self.index = faiss.IndexFlatIP(self.vectors.shape[1])
        self.index.add(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best images of each query: scores [Q, k] descending float32 and columns [Q, k] int64.

        k is cut to the gallery's size. Equal scores come in ascending order of column, as in a stable
        descending argsort; only which of several images tied AT rank k are returned is FAISS's choice.
        """
        queries, k = self._fitting(queries), min(int(k), len(self))
        if k < 1:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        scores, columns = self.index.search(queries, k)
        order = np.lexsort((columns, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(columns, order, 1)

    def similarity(self, queries: np.ndarray) -> np.ndarray:
        """S of every query with every image [Q, G], float32."""
        return self._fitting(queries) @ self.vectors.T

    def _fitting(self, queries: np.ndarray) -> np.ndarray:
        queries = _matrix(queries)
        if queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"queries have {queries.shape[1]} dimensions, the gallery "
                             f"{self.vectors.shape[1]}: encode both with the same backbone")
        return queries


def ranking(sim: np.ndarray, k: int | None = None) -> np.ndarray:
    """Columns of sim [Q, G] by descending similarity [Q, min(k, G)]; of equal ones the lower column comes
    first."""
    return np.argsort(-np.asarray(sim), axis=1, kind="stable")[:, :k]


def _matrix(vectors) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be a matrix [items, dimensions], got shape {vectors.shape}")
    return vectors
