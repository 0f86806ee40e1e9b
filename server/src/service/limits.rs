//! How much one client, or one namespace, may ask for, so that it leaves something for the others.
//!
//! Requests and bytes come out of buckets that fill at the rate allowed and hold a second of it. A
//! request needs a whole token; bytes are counted as they arrive, so a bucket of them can go into
//! debt, and the next request waits until it is paid.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::problem::{Problem, Result};

/// Buckets that are full say nothing; they are looked for when there are as many as this.
const SWEEP_MIN: usize = 1024;

/// What is allowed; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    pub(crate) requests_per_s: u32,
    pub(crate) concurrent_max: u32,
    pub(crate) bytes_per_s: u64,
}

/// Counts for all clients, or all namespaces.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// `client` or `namespace`.
    what: &'static str,
    allowance: Allowance,
    accounts: Mutex<Accounts>,
    refused: [AtomicU64; Reason::ALL.len()],
}

#[derive(Debug)]
struct Accounts {
    by_name: HashMap<Arc<str>, Account>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Account {
    requests: f64,
    bytes: f64,
    filled: Instant,
    running: u32,
}

/// Why somebody was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Requests,
    Concurrent,
    Bytes,
}

impl Reason {
    pub(crate) const ALL: [Reason; 3] = [Reason::Requests, Reason::Concurrent, Reason::Bytes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::Requests => "requests",
            Reason::Concurrent => "concurrent",
            Reason::Bytes => "bytes",
        }
    }
}

/// A request that was let in, until this is dropped.
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    name: Arc<str>,
}

impl Limiter {
    pub(crate) fn new(what: &'static str, allowance: Allowance) -> Arc<Self> {
        let accounts = Accounts { by_name: HashMap::new(), sweep_at: SWEEP_MIN };
        Arc::new(Limiter {
            what,
            allowance,
            accounts: Mutex::new(accounts),
            refused: Default::default(),
        })
    }

    /// Lets a request in, or says when to come back. None if there are no limits.
    pub(crate) fn enter(self: &Arc<Self>, name: &Arc<str>) -> Result<Option<Permit>> {
        self.enter_at(name, Instant::now())
    }

    fn enter_at(self: &Arc<Self>, name: &Arc<str>, now: Instant) -> Result<Option<Permit>> {
        let Allowance { requests_per_s, concurrent_max, bytes_per_s } = self.allowance;
        if requests_per_s == 0 && concurrent_max == 0 && bytes_per_s == 0 {
            return Ok(None);
        }
        let mut accounts = self.lock();
        accounts.sweep(&self.allowance, now);
        let account = accounts
            .by_name
            .entry(Arc::clone(name))
            .or_insert_with(|| Account::full(&self.allowance, now));
        if concurrent_max > 0 && account.running >= concurrent_max {
            let limit = format!("{concurrent_max} requests at a time");
            return Err(self.refuse(Reason::Concurrent, name, &limit, Duration::from_secs(1)));
        }
        self.pay(name, account, now)?;
        account.running += 1;
        drop(accounts);
        Ok(Some(Permit { limiter: Arc::clone(self), name: Arc::clone(name) }))
    }

    /// Takes a request out of the bucket of requests.
    fn pay(&self, name: &str, account: &mut Account, now: Instant) -> Result<()> {
        let Allowance { requests_per_s, bytes_per_s, .. } = self.allowance;
        account.fill(&self.allowance, now);
        if bytes_per_s > 0 && account.bytes < 0.0 {
            let wait = Duration::from_secs_f64(-account.bytes / bytes_per_s as f64);
            let limit = format!("{bytes_per_s} bytes a second");
            return Err(self.refuse(Reason::Bytes, name, &limit, wait));
        }
        if requests_per_s > 0 && account.requests < 1.0 {
            let wait =
                Duration::from_secs_f64((1.0 - account.requests) / f64::from(requests_per_s));
            let limit = format!("{requests_per_s} requests a second");
            return Err(self.refuse(Reason::Requests, name, &limit, wait));
        }
        // What has no limit must stay full, or nobody is ever forgotten.
        if requests_per_s > 0 {
            account.requests -= 1.0;
        }
        Ok(())
    }

    fn refuse(&self, reason: Reason, name: &str, limit: &str, wait: Duration) -> Problem {
        self.refused[reason as usize].fetch_add(1, Relaxed);
        let (what, name) = (self.what, name.escape_debug());
        let message = format!("{what} `{name}` has reached its limit of {limit}; try again later");
        Problem::busy(message, wait)
    }

    /// How many were refused, by reason.
    pub(crate) fn refused(&self) -> [(Reason, u64); Reason::ALL.len()] {
        Reason::ALL.map(|reason| (reason, self.refused[reason as usize].load(Relaxed)))
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Counts another request in the same place, or says when to come back.
    pub(crate) fn next_message(&self) -> Result<()> {
        match self.limiter.lock().by_name.get_mut(&self.name) {
            Some(account) => self.limiter.pay(&self.name, account, Instant::now()),
            None => Ok(()),
        }
    }

    /// Counts bytes that have arrived.
    pub(crate) fn charge(&self, bytes: usize) {
        if self.limiter.allowance.bytes_per_s > 0
            && let Some(account) = self.limiter.lock().by_name.get_mut(&self.name)
        {
            account.bytes -= bytes as f64;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(account) = self.limiter.lock().by_name.get_mut(&self.name) {
            account.running = account.running.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.name).finish()
    }
}

impl Accounts {
    /// Forgets those that are as if they had never asked. Twice as many as are left may come
    /// before the next look, so a request pays for two accounts at most.
    fn sweep(&mut self, allowance: &Allowance, now: Instant) {
        if self.by_name.len() < self.sweep_at {
            return;
        }
        self.by_name.retain(|_, account| {
            account.fill(allowance, now);
            account.running > 0 || !account.is_full(allowance)
        });
        self.sweep_at = (2 * self.by_name.len()).max(SWEEP_MIN);
    }
}

impl Account {
    fn full(allowance: &Allowance, now: Instant) -> Self {
        Account {
            requests: f64::from(allowance.requests_per_s),
            bytes: allowance.bytes_per_s as f64,
            filled: now,
            running: 0,
        }
    }

    fn fill(&mut self, allowance: &Allowance, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        let filled = |left: f64, rate: f64| (left + seconds * rate).min(rate);
        self.requests = filled(self.requests, f64::from(allowance.requests_per_s));
        self.bytes = filled(self.bytes, allowance.bytes_per_s as f64);
        self.filled = now;
    }

    fn is_full(&self, allowance: &Allowance) -> bool {
        self.requests >= f64::from(allowance.requests_per_s)
            && self.bytes >= allowance.bytes_per_s as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let limiter = Limiter::new(
            "client",
            Allowance { requests_per_s: 10, bytes_per_s: 100, ..Default::default() },
        );
        let (name, start) = ("a".into(), Instant::now());
        let at = |ms: u64| limiter.enter_at(&name, start + Duration::from_millis(ms));
        for _ in 0..10 {
            assert!(at(0).unwrap().is_some());
        }
        let refused = at(0).unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_millis(100)));
        assert!(at(99).is_err());
        let permit = at(101).unwrap().unwrap();
        permit.charge(1_100);
        // A debt of about 1,000 bytes is paid after ten seconds.
        assert!(at(9_900).is_err());
        assert!(at(10_300).is_ok());
        let [requests, concurrent, bytes] = limiter.refused().map(|(_, count)| count);
        assert_eq!((requests, concurrent, bytes), (2, 0, 1));
    }

    #[test]
    fn a_permit_is_a_place_until_it_is_dropped() {
        let limiter = Limiter::new("client", Allowance { concurrent_max: 2, ..Default::default() });
        let enter = |name: &str| limiter.enter(&name.into());
        let first = enter("a").unwrap();
        let _second = enter("a").unwrap();
        assert!(enter("a").is_err());
        assert!(enter("b").is_ok(), "others have their own");
        drop(first);
        assert!(enter("a").is_ok());
    }

    #[test]
    fn who_has_not_asked_for_a_while_is_forgotten() {
        let none = Allowance::default();
        for allowance in [
            Allowance { requests_per_s: 1, ..none },
            Allowance { concurrent_max: 1, ..none },
            Allowance { bytes_per_s: 1, ..none },
        ] {
            let limiter = Limiter::new("client", allowance);
            let start = Instant::now();
            for number in 0..100_000u64 {
                let name = number.to_string().into();
                limiter.enter_at(&name, start + Duration::from_millis(number)).unwrap();
            }
            let kept = limiter.lock().by_name.len();
            assert!(kept <= 2 * 1_001 + 1, "{allowance:?}: {kept}");
        }
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let limiter = Limiter::new("client", Allowance::default());
        assert!(limiter.enter(&"a".into()).unwrap().is_none());
        assert!(limiter.lock().by_name.is_empty());
    }
}
