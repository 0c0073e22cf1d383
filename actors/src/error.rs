// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a run ended without its result.

use std::sync::Arc;

use duplicati_engine::{
    crypto::CryptoError, format::FormatError, index::local::LocalError, repository::RepositoryError,
    storage::StoreError,
};

/// The first cause of a failed run.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// Somebody asked for it.
    #[error("the run was cancelled")]
    Cancelled,
    /// Another stage failed first; never reported as a cause.
    #[error("another stage ended the run")]
    Interrupted,
    /// A stage's code panicked: a defect of this program.
    #[error("stage {stage} panicked: {message}; this is a defect of the program, please report it")]
    Panicked {
        /// The stage.
        stage: &'static str,
        /// The panic's text.
        message: String,
    },
    /// The repository or target.
    #[error(transparent)]
    Repository(Arc<RepositoryError>),
    /// Anything that makes the run impossible, in words.
    #[error("{0}")]
    Refused(String),
    /// A rule of the engine was broken; nothing was made visible.
    #[error("an internal check failed in {stage}: {message}; nothing was committed")]
    Check {
        /// The stage.
        stage: &'static str,
        /// What did not hold.
        message: String,
    },
}

macro_rules! from_repository {
    ($($error:ty),*) => {$(
        impl From<$error> for RunError {
            fn from(error: $error) -> Self {
                Self::Repository(Arc::new(error.into()))
            }
        }
    )*};
}
from_repository!(RepositoryError, StoreError, LocalError);

impl From<CryptoError> for RunError {
    fn from(error: CryptoError) -> Self {
        RepositoryError::Seal(error).into()
    }
}

impl From<FormatError> for RunError {
    fn from(error: FormatError) -> Self {
        Self::Check {
            stage: "format",
            message: error.to_string(),
        }
    }
}
