//! EXPLAIN for people.

use std::fmt::{Formatter, Result};

use crate::{Alternative, Effort, ExecutedPlan, ExecutedSegment, Unreadable, ViewKind};

pub(super) fn write(executed: &ExecutedPlan, f: &mut Formatter<'_>) -> Result {
    write!(f, "{} of k={} nearest, {}", executed.hits, executed.k, effort(executed))?;
    match &executed.filter {
        Some(filter) => write!(f, ", where {filter}")?,
        None => f.write_str(", no filter")?,
    }
    if let Some(threshold) = executed.score_threshold {
        write!(f, ", score at least {threshold}")?;
    }
    writeln!(f)?;
    for segment in &executed.segments {
        write_segment(segment, f)?;
    }
    writeln!(
        f,
        "├─ rerank  {} candidates on full vectors (at most {})  {}",
        count(executed.reranked),
        count(executed.rerank as u64),
        time(executed.rerank_us),
    )?;
    let complete = if executed.complete { "complete" } else { "INCOMPLETE" };
    write!(f, "└─ total   {}, {complete}", time(executed.total_us))
}

fn effort(executed: &ExecutedPlan) -> String {
    match executed.effort {
        Effort::Auto => "auto".into(),
        Effort::Ef(ef) => format!("ef={ef}"),
        Effort::Recall(recall) => format!("recall={recall}"),
        Effort::Exact => "exact".into(),
    }
}

fn write_segment(executed: &ExecutedSegment, f: &mut Formatter<'_>) -> Result {
    let plan = &executed.plan;
    let name = match plan.kind {
        ViewKind::Memtable => "memtable".to_owned(),
        ViewKind::Sealed { id } => format!("segment {id}"),
    };
    write!(f, "├─ {name}: {}", executed.ran)?;
    if executed.ran != plan.strategy {
        write!(f, " (planned: {})", plan.strategy)?;
    }
    writeln!(f)?;
    write!(
        f,
        "│    rows      {} of {} live match ({})",
        count(plan.matching),
        count(u64::from(plan.live)),
        percent(executed.selectivity()),
    )?;
    if executed.filter_us > 0.0 {
        write!(f, ", filter {}", time(executed.filter_us))?;
    }
    if executed.rows_read > 0 {
        write!(f, ", metadata of {} rows read", count(executed.rows_read))?;
    }
    writeln!(f)?;
    writeln!(
        f,
        "│    cost      {} (estimated {}), {} distances (estimated {})",
        time(executed.search_us),
        time(plan.cost_us),
        count(executed.distances),
        count(plan.distances),
    )?;
    if let Some(fallback) = &executed.fallback {
        writeln!(f, "│    FALLBACK  {fallback}")?;
    }
    for damage in &executed.degraded {
        writeln!(f, "│    DEGRADED  {damage}")?;
    }
    if !executed.unreadable.rows.is_empty() {
        writeln!(f, "│    LEFT OUT  {}", unreadable(&executed.unreadable))?;
    }
    let recall = recall_of_what_ran(executed);
    writeln!(f, "│    recall    {recall:.3} expected, {} candidates", count(executed.candidates))?;
    let others: Vec<String> =
        plan.alternatives.iter().filter(|a| a.strategy != plan.strategy).map(other).collect();
    if !others.is_empty() {
        writeln!(f, "│    others    {}", others.join("; "))?;
    }
    Ok(())
}

/// The recall expected of what ran: after a fallback not the plan's.
fn recall_of_what_ran(executed: &ExecutedSegment) -> f32 {
    (executed.plan.alternatives.iter())
        .find(|a| a.strategy == executed.ran)
        .map_or(executed.plan.recall, |a| a.recall)
}

fn other(alternative: &Alternative) -> String {
    let cost = if alternative.cost_us.is_finite() {
        format!(" {}", time(alternative.cost_us))
    } else {
        String::new()
    };
    match &alternative.rejected {
        Some(why) => format!("{}{cost} (rejected: {why})", alternative.strategy),
        None => format!("{}{cost}", alternative.strategy),
    }
}

fn unreadable(unreadable: &Unreadable) -> String {
    /// More are counted and not listed; the JSON has them all.
    const RUNS_MAX: usize = 8;
    let mut runs = Vec::new();
    let mut rows = unreadable.rows.iter();
    while let Some(run) = rows.next_range() {
        if runs.len() == RUNS_MAX {
            runs.push("…".to_owned());
            break;
        }
        runs.push(if run.start() == run.end() {
            run.start().to_string()
        } else {
            format!("{}–{}", run.start(), run.end())
        });
    }
    let first_error = unreadable.first_error.as_deref().unwrap_or("damaged");
    format!("{} rows ({}): {first_error}", count(unreadable.rows.len()), runs.join(", "))
}

/// `1234567` as `1,234,567`.
fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// In the unit that fits.
fn time(us: f64) -> String {
    match us {
        _ if us < 10.0 => format!("{us:.1} µs"),
        _ if us < 1e3 => format!("{us:.0} µs"),
        _ if us < 1e6 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.1} s", us / 1e6),
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p == 0.0 || p >= 10.0 => format!("{p:.0} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        p => format!("{p:.0e} %"),
    }
}
