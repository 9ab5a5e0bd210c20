// Package server is Mahrem's policy API over HTTP: the one door through which programs
// ask the gate, record consent, deliver data and fetch checkpoints.
//
// It refuses early and says exactly what is wrong without repeating what was sent: a
// problem document (RFC 9457) names a JSON pointer and a reason, never a value, because
// a value may be personal data and a response ends up in somebody else's log (GDPR
// Article 5(1)(f)). It answers 200 only with evidence: each answer carries the index of
// the log entry that was durable before the answer was written.
//
// Three things are decided in one place each: which routes exist and who may call them
// (the table in routes.go), what a malformed body is (strict.go), and what an error
// becomes (problem.go). The contract for callers is openapi.yaml, which a test holds
// against the table.
package server
