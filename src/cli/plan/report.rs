//! A plan as a table and a sentence, or as JSON.

use serde_json::{Value, json};

use super::arrivals::Bursts;
use super::measurements::Measurements;
use super::search::{Found, Row, Search};
use super::simulation::Outcome;
use crate::error::counted;

/// What was looked for, and what was found.
pub(super) struct Report<'a> {
    pub(super) search: Search<'a>,
    pub(super) found: &'a Found,
}

impl Report<'_> {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![self.measured(), String::new()];
        if !self.found.rows.is_empty() {
            lines.push(format!("{:>28}{:^38}  {:^38}", "", "Poisson", "bursty"));
            let columns = format!("{:>9}{:>9}{:>9}{:>11}", "p50 ms", "p99 ms", "refused", "busy");
            lines.push(format!(
                "{:>10}{:>18}{columns}  {columns}",
                "replicas", "a second each"
            ));
            lines.extend(self.found.rows.iter().map(line));
            lines.push(String::new());
        }
        if let Some(sentence) = self.sentence() {
            lines.push(sentence);
        }
        lines.join("\n").trim_end().to_owned()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let Search {
            measured,
            policy,
            rate,
            p99_ms,
            bursts,
            requests,
            seed,
        } = self.search;
        let replicas = self.found.replicas.as_ref().ok();
        json!({
            "model": measured.model,
            "rate_per_s": rate,
            "p99_ms": p99_ms,
            "replicas": replicas,
            "reason": self.found.replicas.as_ref().err(),
            "cores": replicas.map(|replicas| replicas * measured.cores),
            "memory_mb": replicas.map(|replicas| *replicas as f64 * measured.memory_mb),
            "capacity_per_s": self.search.capacity(),
            "rows": self.found.rows.iter().map(row).collect::<Vec<_>>(),
            "max_batch_size": policy.max_batch,
            "max_delay_ms": policy.max_delay.as_secs_f64() * 1e3,
            "queue_capacity": policy.capacity,
            "bursts": {"factor": bursts.factor, "share": bursts.share, "mean_s": bursts.mean_s},
            "requests": requests,
            "seed": seed,
            "measured": measured,
        })
    }

    /// What the simulation draws from.
    fn measured(&self) -> String {
        let Search { measured, policy, .. } = self.search;
        let Measurements {
            model,
            cores,
            instances,
            threads,
            decode_ms,
            request_ms,
            ..
        } = measured;
        let largest = policy.max_batch;
        let (one, many) = (measured.mean_pass(1), measured.mean_pass(largest));
        let beside = match measured.side_by_side() {
            1 => String::new(),
            side => format!(", {:.2} times as long with {side} side by side", many.beside),
        };
        format!(
            "{model}: replicas of {}, {instances} × {}, batches of up to {largest}\n\
             a pass of 1: {:.2} ms, of {largest}: {:.2} ms{beside}; decoding: {:.2} ms; the rest of a request: {:.2} ms\n\
             a replica answers {:.1} requests a second at most, and takes {:.0} MB",
            counted(*cores, "core"),
            counted(*threads, "thread"),
            one.alone_ms,
            many.alone_ms,
            decode_ms.mean(),
            request_ms.mean(),
            self.search.capacity(),
            measured.memory_mb,
        )
    }

    /// What it takes, where there is an answer.
    fn sentence(&self) -> Option<String> {
        let replicas = *self.found.replicas.as_ref().ok()?;
        let row = self.found.rows.iter().find(|row| row.replicas == replicas)?;
        let Search {
            measured,
            rate,
            p99_ms,
            bursts:
                Bursts {
                    factor,
                    share,
                    mean_s,
                },
            ..
        } = self.search;
        let p99 = |outcome: &Outcome| outcome.percentile_ms(0.99).unwrap_or(f64::INFINITY);
        Some(format!(
            "{} answer{} {rate} requests a second within {p99_ms} ms at p99, with {} and {:.0} MB together: 99 of 100 within \
             {:.1} ms where they come by chance, and within {:.1} ms where they come in bursts of {factor} times the rate, for \
             {mean_s} s on average and {:.0} % of the time.",
            counted(replicas, "replica"),
            if replicas == 1 { "s" } else { "" },
            counted(replicas * measured.cores, "core"),
            replicas as f64 * measured.memory_mb,
            p99(&row.poisson),
            p99(&row.bursty),
            share * 100.0,
        ))
    }
}

fn line(row: &Row) -> String {
    let cells = |outcome: &Outcome| {
        let ms = |p| {
            outcome
                .percentile_ms(p)
                .map_or("none".into(), |ms| format!("{ms:.1}"))
        };
        format!(
            "{:>9}{:>9}{:>8.2}%{:>10.0}%",
            ms(0.5),
            ms(0.99),
            outcome.rejected() * 100.0,
            outcome.utilisation * 100.0
        )
    };
    let (poisson, bursty) = (cells(&row.poisson), cells(&row.bursty));
    format!("{:>10}{:>18.1}{poisson}  {bursty}", row.replicas, row.rate)
}

fn row(row: &Row) -> Value {
    let outcome = |outcome: &Outcome| {
        json!({
            "p50_ms": outcome.percentile_ms(0.5),
            "p99_ms": outcome.percentile_ms(0.99),
            "rejected": outcome.rejected(),
            "utilisation": outcome.utilisation,
            "mean_batch": outcome.mean_batch,
        })
    };
    json!({
        "replicas": row.replicas,
        "rate_per_s": row.rate,
        "poisson": outcome(&row.poisson),
        "bursty": outcome(&row.bursty),
    })
}
