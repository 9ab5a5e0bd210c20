// Package opendsr speaks OpenDSR, the one open protocol by which a controller hands a
// data subject's request to its processors and hears what became of it: 1.0 (then called
// OpenGDPR), 2.0, and the shapes that are in use as 3.0.
//
// The duty behind it: each recipient must be told of an erasure (GDPR Article 19, KVKK
// Article 11(f)), and the controller must be able to show it (Article 5(2)). So what a
// processor says counts only with a signature over the bytes as they came, by a
// certificate of the processor's own domain. The signature is checked before anything is
// parsed; a state never goes back; and "completed" with a part that failed or was skipped
// is not an erasure. What is refused is refused by a check that has a name.
//
// The protocol signs neither time nor recipient of a message, only its body. The rest is
// therefore done here: a message counts once, and only if it names this controller's own
// callback address.
package opendsr
