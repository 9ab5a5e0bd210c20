// Package demo tells the story of Mahrem on data: a bundled shop, or the files of the
// Complete Journey.
//
// Nothing in the story is written down beforehand. The data goes through the same intake
// as any other file, every answer comes from the gate, every consent and the erasure go
// their ordinary way and into the log, and each act ends with claims that are checked
// against what came back. A claim that does not hold is printed as such and fails the
// demo.
//
// The people of the bundled shop do not exist. The Complete Journey is real and carries
// no names, contacts, birth dates or consents; the demo draws those from the household's
// number and says so.
package demo
