//! Votes as they were counted: in the journal and in records.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A vote that was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountedVote {
    /// Who.
    #[schemars(length(max = 256))]
    pub by: String,
    /// In which role; none where the gate was broken.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 40))]
    pub role: String,
    /// By which leave. Approver, where it is left out: as somebody else than whoever asked. Requester: the gate lets them.
    /// Alone: nobody else had decided. BreakGlass: without the role.
    #[serde(default, skip_serializing_if = "DecidedAs::is_approver")]
    pub decided_as: DecidedAs,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub why: String,
    /// Name of the ballot; none where the gate was broken.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub ballot: String,
    /// Uid of the ballot.
    #[serde(default, rename = "ballotUID", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub ballot_uid: String,
    /// Id of the voter's credential, where the cluster stamps it.
    #[serde(default, rename = "credentialID", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub credential_id: String,
}

impl CountedVote {
    /// `bob as sre`, and in capital letters what is out of the ordinary.
    pub fn display(&self) -> String {
        match self.decided_as {
            DecidedAs::Approver => format!("{} as {}", self.by, self.role),
            DecidedAs::Requester => format!("{} as {}, who asked for it", self.by, self.role),
            DecidedAs::Alone => format!("{} as {}, ALONE", self.by, self.role),
            DecidedAs::BreakGlass => format!("BREAK GLASS by {}", self.by),
        }
    }
}

/// An approval that covers the undo of what it approved, for a while: a gate's `coversUndo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cover {
    /// Until when the undo may begin.
    pub until: MicroTime,
    /// Uid of the run on whose plan the votes were cast.
    #[serde(rename = "runUID")]
    #[schemars(length(max = 64))]
    pub run_uid: String,
    /// Digest of that plan.
    #[schemars(length(max = 80))]
    pub plan_hash: String,
    /// The votes that opened the gate then.
    #[schemars(length(max = 8))]
    pub votes: Vec<CountedVote>,
}

/// By which leave somebody decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecidedAs {
    /// As somebody else than whoever asked for the run.
    #[default]
    Approver,
    /// As whoever asked for the run, whom the gate lets approve.
    Requester,
    /// As whoever asked for the run, after nobody else had decided: somebody else ratifies it.
    Alone,
    /// Without the role: somebody else ratifies it.
    BreakGlass,
}

impl DecidedAs {
    fn is_approver(&self) -> bool {
        *self == Self::Approver
    }

    /// Whether a second person has to ratify it.
    pub fn needs_ratification(self) -> bool {
        matches!(self, Self::Alone | Self::BreakGlass)
    }
}
