//! Long work: it stops on Ctrl-C, and tells how far it is.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBool;
use vecstore::{ErrorKind, Progress, Stage};

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
        let stage = match now.stage {
            Stage::Rows => "rows",
            Stage::Graph => "graph",
            Stage::Verify => "verify",
        };
        self.step(stage, now.done, now.total)
    }

    /// Looks for Ctrl-C and reports, unless that was done a moment ago; without the interpreter
    /// lock. After `Break` [`finish`](Self::finish) has what was raised.
    pub(crate) fn step(&mut self, stage: &str, done: u64, total: u64) -> ControlFlow<()> {
        if self.looked.elapsed() < BETWEEN_LOOKS {
            return ControlFlow::Continue(());
        }
        match Python::attach(|py| self.look(py, stage, done, total)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Looks for Ctrl-C and reports, whenever it was done last.
    pub(crate) fn look(
        &mut self,
        py: Python<'_>,
        stage: &str,
        done: u64,
        total: u64,
    ) -> PyResult<()> {
        py.check_signals()?;
        if let Some(report) = &self.report {
            report.call1(py, (stage, done, total))?;
        }
        self.looked = Instant::now();
        Ok(())
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

/// Work that cannot be asked to stop, in a thread of its own.
pub(crate) struct Apart<T> {
    outcome: Receiver<T>,
    thread: JoinHandle<()>,
}

impl<T: Send + 'static> Apart<T> {
    /// Begins it.
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> Result<Self> {
        let (sender, outcome) = sync_channel(1);
        let run = move || {
            // Nobody waits for it any more if that fails.
            let _ = sender.send(work());
        };
        let thread = Builder::new().name("vecstore-call".to_owned()).spawn(run);
        let thread = thread.map_err(|e| Failure::io(&"a thread", &e))?;
        Ok(Apart { outcome, thread })
    }

    /// What it came to. On Ctrl-C this fails, and the work ends by itself.
    pub(crate) fn wait(mut self, py: Python<'_>) -> Result<T> {
        loop {
            let outcome = &mut self.outcome;
            match py.detach(move || outcome.recv_timeout(BETWEEN_LOOKS)) {
                Ok(outcome) => return Ok(outcome),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return match self.thread.join() {
                        Err(panic) => resume_unwind(panic),
                        Ok(()) => Err(Failure::new(ErrorKind::Closed, "the call's thread ended")),
                    };
                }
            }
        }
    }
}
