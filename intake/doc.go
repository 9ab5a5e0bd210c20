// Package intake turns files and requests about people into sealed records: it finds or
// makes the person behind each row, translates the row into catalogue attributes and
// events by a declarative mapping, seals them under the person's own key, and commits a
// batch at a time together with its entry in the audit log.
//
// What comes in is somebody else's data in somebody else's shape. So every row is
// guarded before it is parsed (encoding, length, NUL), a bad one is turned away with its
// number and a reason and never with its content, and the load goes on. What was loaded
// is recognised when it comes again, by a keyed fingerprint of each event and by the
// digest of the file, so that a load may be broken off and repeated at any point (GDPR
// Article 5(1)(d): nobody has bought a thing twice because a file was sent twice).
package intake
