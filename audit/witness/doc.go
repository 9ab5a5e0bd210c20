// Package witness is the log's side of witnesses: others, who keep the last checkpoint of
// the log that they have seen, and put their signature under a newer one only if it
// continues that. Whoever sees a checkpoint that enough witnesses have cosigned knows that
// everybody else is shown the same log, even if its operator is not to be trusted.
//
// [ParsePolicy] reads who the witnesses are and how many are enough (C2SP tlog-policy),
// [Policy.Check] holds a checkpoint to it, without any connection, and [Collector] asks
// the witnesses (C2SP tlog-witness) for their cosignatures (C2SP tlog-cosignature, Ed25519).
package witness
