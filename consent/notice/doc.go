// Package notice keeps the notices that people are shown when they are asked for consent:
// each version with its texts by language, from when it holds, which purposes it is about,
// and whether it says something new in substance.
//
// "The user says he never consented" is answered by showing the very words. So a version is
// never changed once it is published: its texts are kept by their SHA-256, its digest is in
// the log, and another text is another version.
//
// A material notice makes every older yes to the purposes it touches out of date
// (stale_notice in the state of consent) from the moment it takes effect; the catalogue says
// of each purpose what becomes of it then.
package notice
