"""VecStore as a vector store of LlamaIndex."""

from .base import VecStoreVectorStore

__all__ = ["VecStoreVectorStore"]
