//! Long work: it stops on Ctrl-C, and tells how far it is.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBool;
use vecstore::{Progress, Stage};

use crate::failure::{Failure, Result};

/// Between two looks for Ctrl-C, and two reports.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks after long work that runs without the interpreter lock.
pub(crate) struct Watch {
    looked: Instant,
    raised: Option<PyErr>,
    report: Option<Py<PyAny>>,
}

impl Watch {
    /// Reads `progress`: `False` or `None` for no reports, `True` for a bar of tqdm, or a function
    /// that is called with the stage, what is done, and how much there is to do.
    pub(crate) fn new(py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let report = match progress {
            None => None,
            Some(progress) if progress.is_none() => None,
            Some(progress) => match progress.cast::<PyBool>() {
                Ok(bar) if bar.is_true() => {
                    Some(py.import("vecstore._progress")?.getattr("Bar")?.call0()?.unbind())
                }
                Ok(_) => None,
                Err(_) if progress.is_callable() => Some(progress.clone().unbind()),
                Err(_) => {
                    return Err(Failure::wrong_type(format!(
                        "progress is {}, expected a bool or a function",
                        progress.get_type().qualname()?
                    )));
                }
            },
        };
        Ok(Watch { looked: Instant::now(), raised: None, report })
    }

    /// What the engine calls, from the thread that Python called from.
    pub(crate) fn engine(&mut self, now: Progress) -> ControlFlow<()> {
        if self.looked.elapsed() < BETWEEN_LOOKS {
            return ControlFlow::Continue(());
        }
        let stage = match now.stage {
            Stage::Rows => "rows",
            Stage::Graph => "graph",
            Stage::Verify => "verify",
        };
        Python::attach(|py| self.look(py, stage, now.done, now.total))
    }

    /// Looks for Ctrl-C and reports, whenever it was done last.
    pub(crate) fn look(
        &mut self,
        py: Python<'_>,
        stage: &str,
        done: u64,
        total: u64,
    ) -> ControlFlow<()> {
        let looked = py.check_signals().and_then(|()| match &self.report {
            Some(report) => report.call1(py, (stage, done, total)).map(drop),
            None => Ok(()),
        });
        self.looked = Instant::now();
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// What the work came to: the exception that stopped it, if one did.
    pub(crate) fn finish<T>(self, py: Python<'_>, outcome: Result<T>) -> Result<T> {
        if let Some(report) = &self.report
            && let Some(close) = report.bind(py).getattr_opt("close")?
        {
            close.call0()?;
        }
        match self.raised {
            Some(error) => Err(error.into()),
            None => outcome,
        }
    }
}
