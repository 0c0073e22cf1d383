// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a run waited for, from the metrics of its stages: processor time of each, and how long the stages before waited for room.

use std::collections::BTreeMap;

use duplicati_actors::metrics::{BACKPRESSURE_SECONDS, BUDGET_WAIT_SECONDS, BYTES, CPU_SECONDS, ITEMS};

/// A share of time from which waiting counts, for each of those who wait.
const SHARE_MIN: f64 = 0.1;
/// A share of all processors from which these are what limits.
const PROCESSOR_SHARE: f64 = 0.8;
/// Stages that talk to the target.
const OF_TARGET: [&str; 3] = ["uploader", "fetcher", "indexer"];

/// Readings of the metrics, all since the program began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings(BTreeMap<(String, String), f64>);

/// One stage during a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageFigures {
    /// Its name.
    pub stage: String,
    /// Messages that entered it.
    pub items: f64,
    /// Bytes that entered it.
    pub bytes: f64,
    /// Processor time of its threads, seconds.
    pub cpu_seconds: f64,
    /// Time that those before waited for it, seconds, all added up.
    pub waited_seconds: f64,
}

/// What a run could not do without more of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bottleneck {
    /// Reading the source.
    Source,
    /// A stage that computes.
    Stage(String),
    /// All processors together.
    Processors,
    /// Bytes per second to or from the target.
    Link,
    /// The target's answers.
    Target,
}

impl std::fmt::Display for Bottleneck {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source => formatter.write_str("source"),
            Self::Stage(name) => write!(formatter, "CPU: {name}"),
            Self::Processors => formatter.write_str("CPU: all stages"),
            Self::Link => formatter.write_str("link"),
            Self::Target => formatter.write_str("target"),
        }
    }
}

impl Readings {
    /// Reads Prometheus' text format, as far as the pipeline's metrics are in it.
    pub fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            let Some((key, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = key.split_once('{').unwrap_or((key, ""));
            let stage = labels
                .split_once("stage=\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map_or("", |(stage, _)| stage);
            if let Ok(value) = value.parse::<f64>()
                && [
                    BACKPRESSURE_SECONDS,
                    BUDGET_WAIT_SECONDS,
                    BYTES,
                    CPU_SECONDS,
                    ITEMS,
                ]
                .contains(&name)
            {
                values.insert((name.to_owned(), stage.to_owned()), value);
            }
        }
        Self(values)
    }

    fn since(&self, before: &Self, name: &str, stage: &str) -> f64 {
        let key = (name.to_owned(), stage.to_owned());
        let at = |readings: &Self| readings.0.get(&key).copied().unwrap_or(0.0);
        (at(self) - at(before)).max(0.0)
    }

    /// The stages that did something since `before`.
    pub fn stages_since(&self, before: &Self) -> Vec<StageFigures> {
        let mut names: Vec<&str> = self.0.keys().map(|(_, stage)| stage.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter(|stage| !stage.is_empty())
            .map(|stage| StageFigures {
                stage: stage.to_owned(),
                items: self.since(before, ITEMS, stage),
                bytes: self.since(before, BYTES, stage),
                cpu_seconds: self.since(before, CPU_SECONDS, stage),
                waited_seconds: self.since(before, BACKPRESSURE_SECONDS, stage),
            })
            .filter(|stage| stage.items > 0.0 || stage.cpu_seconds > 0.0)
            .collect()
    }

    /// Time that work waited for the byte budget since `before`, seconds.
    pub fn budget_wait_since(&self, before: &Self) -> f64 {
        self.since(before, BUDGET_WAIT_SECONDS, "")
    }
}

/// A run, as far as finding its bottleneck needs it.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its stages.
    pub stages: &'a [StageFigures],
    /// Time that work waited for the byte budget, seconds.
    pub budget_wait_seconds: f64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Processor time of the whole program, seconds.
    pub cpu_seconds: f64,
    /// Threads that may run at once.
    pub processors: usize,
    /// What moved to or from the target, MB/s.
    pub megabytes_per_second: f64,
    /// What single requests reached, MB/s; none where the target is a folder of this machine or that was not measured.
    pub link_megabytes_per_second: Option<f64>,
}

/// Finds what limited a run: the slowest stage is the one before which most waiting was done.
pub fn bottleneck(run: Run<'_>) -> Bottleneck {
    let all_time = run.seconds.max(f64::MIN_POSITIVE);
    let processors = run.processors.max(1) as f64;
    // Those who wait for a stage are several threads, except for the stages behind the single ones.
    let share = |stage: &StageFigures| {
        let waiting = if ["chunker", "uploader", "fetcher"].contains(&stage.stage.as_str()) {
            1.0
        } else {
            processors
        };
        stage.waited_seconds / all_time / waiting
    };
    let budget_share = run.budget_wait_seconds / all_time / processors;
    let largest = |of_target: bool| {
        run.stages
            .iter()
            .filter(|stage| OF_TARGET.contains(&stage.stage.as_str()) == of_target)
            .max_by(|one, two| share(one).total_cmp(&share(two)))
    };
    let target_share = largest(true).map_or(0.0, share).max(budget_share);
    let slowest = largest(false).filter(|stage| share(stage) >= SHARE_MIN);
    let is_busy = run.cpu_seconds >= PROCESSOR_SHARE * processors * all_time;
    if target_share >= SHARE_MIN && !is_busy {
        let is_link_full = run
            .link_megabytes_per_second
            .is_some_and(|link| run.megabytes_per_second >= PROCESSOR_SHARE * link);
        return if is_link_full {
            Bottleneck::Link
        } else {
            Bottleneck::Target
        };
    }
    match slowest {
        Some(stage) => Bottleneck::Stage(stage.stage.clone()),
        None if is_busy => Bottleneck::Processors,
        None => Bottleneck::Source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# TYPE duplicati_pipeline_items_total counter
duplicati_pipeline_items_total{stage=\"chunker\"} 12
duplicati_pipeline_bytes_total{stage=\"chunker\"} 4096
duplicati_pipeline_cpu_seconds_total{stage=\"chunker\"} 1.5
duplicati_pipeline_backpressure_seconds_total{stage=\"chunker\"} 0.25
duplicati_pipeline_budget_wait_seconds_total 0.5
duplicati_store_requests_total{scheme=\"file\",operation=\"put\",outcome=\"ok\"} 3
";

    #[test]
    fn stages_are_read_and_counted_from_where_the_run_began() {
        let before = Readings::parse(TEXT);
        assert!(before.stages_since(&before).is_empty());
        let after = Readings::parse(
            &TEXT
                .replace("12", "20")
                .replace("1.5", "2.5")
                .replace("0.5", "0.75"),
        );
        let stages = after.stages_since(&before);
        assert_eq!(stages.len(), 1);
        assert_eq!((stages[0].items, stages[0].cpu_seconds), (8.0, 1.0));
        assert_eq!(after.budget_wait_since(&before), 0.25);
        assert_eq!(before.stages_since(&Readings::default()).len(), 1);
    }

    #[test]
    fn what_is_waited_for_most_is_the_bottleneck() {
        let stage = |name: &str, waited_seconds: f64| StageFigures {
            stage: name.to_owned(),
            items: 1.0,
            waited_seconds,
            ..StageFigures::default()
        };
        let find = |stages: &[StageFigures], budget: f64, cpu: f64, link: Option<f64>| {
            bottleneck(Run {
                stages,
                budget_wait_seconds: budget,
                seconds: 10.0,
                cpu_seconds: cpu,
                processors: 4,
                megabytes_per_second: 50.0,
                link_megabytes_per_second: link,
            })
        };
        assert_eq!(
            find(&[stage("uploader", 8.0)], 0.0, 4.0, None),
            Bottleneck::Target
        );
        assert_eq!(find(&[], 30.0, 4.0, Some(55.0)), Bottleneck::Link);
        assert_eq!(find(&[], 30.0, 4.0, Some(500.0)), Bottleneck::Target);
        assert_eq!(
            find(&[stage("sealer", 30.0), stage("chunker", 5.0)], 0.0, 30.0, None),
            Bottleneck::Stage("sealer".to_owned())
        );
        assert_eq!(
            find(&[stage("chunker", 0.1)], 0.0, 38.0, None),
            Bottleneck::Processors
        );
        assert_eq!(find(&[stage("chunker", 0.1)], 0.0, 4.0, None), Bottleneck::Source);
    }
}
