// Package fulfil carries out what data subjects ask for apart from access and erasure: it
// corrects what is wrong (GDPR Article 16), marks what is contested and stops its use
// (Article 18), records objections (Article 21) and what a human makes of a machine's
// decision (Article 22(3)).
//
// Each act is a step of a request and commits together with it and its entry in the log.
// The log holds digests and never a value: of a correction it has one digest over keyed
// digests of what stood there before and after, which the sealed step explains.
package fulfil
