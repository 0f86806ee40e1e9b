"""VecStore as a vector store of LangChain."""

from .vectorstore import VecStore

__all__ = ["VecStore"]
