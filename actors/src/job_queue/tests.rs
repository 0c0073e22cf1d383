// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the queue promises, with jobs that wait at gates.

use duplicati_engine::clock::SystemClock;
use tokio::sync::{mpsc, oneshot};

use super::*;

async fn queue() -> JobQueue {
    JobQueue::start(Arc::new(SystemClock)).await.unwrap()
}

/// A job that says when it begins and ends when it is told to, or cancelled.
fn gated(
    name: &'static str,
    began: &mpsc::UnboundedSender<&'static str>,
) -> (JobRequest, oneshot::Sender<()>) {
    let (open, gate) = oneshot::channel();
    let began = began.clone();
    let request = JobRequest::new(Some(name.to_owned()), "Backup", move |context| async move {
        began.send(name).unwrap();
        tokio::select! {
            _ = gate => JobOutcome::Completed,
            () = context.control.tripped() => JobOutcome::Failed { message: "cancelled".to_owned(), detail: String::new() },
        }
    });
    (request, open)
}

async fn finished(queue: &JobQueue, id: u64) -> Job {
    let mut state = queue.watch();
    let state = state
        .wait_for(|state| state.find(id).is_some_and(|job| job.finished.is_some()))
        .await
        .unwrap();
    state.find(id).unwrap().clone()
}

#[tokio::test]
async fn one_job_runs_at_a_time_and_the_first_in_line_is_next() {
    let queue = queue().await;
    let (began, mut order) = mpsc::unbounded_channel();
    let (first, end_first) = gated("1", &began);
    let (second, end_second) = gated("2", &began);
    let (urgent, end_urgent) = gated("3", &began);
    let first = queue.enqueue(first).await.unwrap();
    let second = queue.enqueue(second).await.unwrap();
    let urgent = queue.enqueue(urgent.first(true)).await.unwrap();
    assert_eq!(order.recv().await, Some("1"));
    let waiting: Vec<u64> = queue.state().waiting.iter().map(|job| job.id).collect();
    assert_eq!(waiting, [urgent, second]);
    end_first.send(()).unwrap();
    assert_eq!(order.recv().await, Some("3"));
    assert_eq!(
        finished(&queue, first).await.state,
        JobState::Ended(JobOutcome::Completed)
    );
    end_urgent.send(()).unwrap();
    assert_eq!(order.recv().await, Some("2"));
    end_second.send(()).unwrap();
    finished(&queue, second).await;
    queue.idle().await;
}

#[tokio::test]
async fn the_same_backup_is_not_queued_twice() {
    let queue = queue().await;
    let (began, _order) = mpsc::unbounded_channel();
    let (first, _end) = gated("1", &began);
    let (again, _end_again) = gated("1", &began);
    let (other, _end_other) = gated("2", &began);
    let id = queue.enqueue(first.once()).await.unwrap();
    assert_eq!(queue.enqueue(again.once()).await, Ok(id));
    assert_ne!(queue.enqueue(other.once()).await, Ok(id));
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_goes_on() {
    let queue = queue().await;
    queue.pause().await;
    let (began, mut order) = mpsc::unbounded_channel();
    let (job, end) = gated("1", &began);
    let id = queue.enqueue(job).await.unwrap();
    assert_eq!(queue.state().find(id).unwrap().state, JobState::Waiting);
    assert!(order.try_recv().is_err());
    queue.resume().await;
    assert_eq!(order.recv().await, Some("1"));
    end.send(()).unwrap();
    finished(&queue, id).await;
}

#[tokio::test]
async fn abort_cancels_a_running_job_and_takes_out_a_waiting_one() {
    let queue = queue().await;
    let (began, mut order) = mpsc::unbounded_channel();
    let (running, _end) = gated("1", &began);
    let (waiting, _end_waiting) = gated("2", &began);
    let running = queue.enqueue(running).await.unwrap();
    let waiting = queue.enqueue(waiting).await.unwrap();
    order.recv().await;
    assert!(queue.abort(waiting).await);
    assert!(queue.state().waiting.is_empty());
    assert!(queue.abort(running).await);
    assert!(matches!(
        finished(&queue, running).await.state,
        JobState::Ended(JobOutcome::Failed { .. })
    ));
    assert!(!queue.abort(99).await);
}

#[tokio::test]
async fn a_job_that_panics_fails_and_the_next_one_runs() {
    let queue = queue().await;
    let broken = JobRequest::new(None, "Backup", |_| async { panic!("on purpose") });
    let broken = queue.enqueue(broken).await.unwrap();
    let fine = JobRequest::new(None, "Backup", |_| async { JobOutcome::Completed });
    let fine = queue.enqueue(fine).await.unwrap();
    assert!(matches!(
        finished(&queue, broken).await.state,
        JobState::Ended(JobOutcome::Failed { .. })
    ));
    assert_eq!(
        finished(&queue, fine).await.state,
        JobState::Ended(JobOutcome::Completed)
    );
}

#[tokio::test]
async fn a_closed_queue_takes_no_job_and_asks_the_running_one_to_end() {
    let queue = queue().await;
    let (told, began) = oneshot::channel();
    let job = JobRequest::new(None, "Backup", move |context| async move {
        told.send(()).unwrap();
        while !context.control.is_finishing_early() {
            tokio::task::yield_now().await;
        }
        JobOutcome::Completed
    });
    queue.enqueue(job).await.unwrap();
    began.await.unwrap();
    queue.close().await;
    queue.idle().await;
    let late = JobRequest::new(None, "Backup", |_| async { JobOutcome::Completed });
    assert_eq!(queue.enqueue(late).await, Err(QueueError::Closing));
}
