"""The progress bar of `progress=True`."""

import importlib
from typing import Any


class Bar:
    """A bar of tqdm, one for each stage of the work."""

    def __init__(self) -> None:
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "progress=True shows a bar of tqdm, which is not installed: pip install tqdm, or "
                "give a function (stage, done, total)",
                name=error.name,
            ) from None
        self._tqdm: Any = tqdm
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or self._bar.desc != stage or self._bar.total != total:
            self.close()
            self._bar = self._tqdm(desc=stage, total=total, unit="record")
            self._bar.desc = stage
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
