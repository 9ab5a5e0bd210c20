// Package mail takes letters to people by e-mail: over SMTP (RFC 5321) with TLS, or with
// no TLS on this machine alone.
//
// The message of a delivery has the same Message-ID in every attempt. It is marked as
// written by a program (RFC 3834), so that no out-of-office note answers it.
package mail
