// Package identity finds out whether a request comes from the person it is about, with as
// little data as that takes (GDPR Article 12(6), EDPB Guidelines 01/2022).
//
// There are three ways. A one-time code goes to an address that is already known to be the
// person's, never to one that the request brought; a service of the company's own states
// that the person is signed in; or a data protection officer judges, on a ground from a
// closed list. No copy of a document is asked for, and there is no place to keep one.
//
// Whoever opened a request on behalf of somebody unknown sees the same answers as for
// anybody else: a code seems to be sent, and no code is ever right.
package identity
