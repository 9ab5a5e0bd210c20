package opendsr

import (
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// The checks by which a message is refused. They stand in the log under these names.
const (
	CheckVersion            = "version.known"
	CheckBody               = "body.well_formed"
	CheckBodySize           = "body.size"
	CheckField              = "body.fields"
	CheckIdentity           = "identity.usable"
	CheckKind               = "request.type_supported"
	CheckDuplicate          = "request.new"
	CheckRequestKnown       = "request.known"
	CheckCancellable        = "request.pending"
	CheckCallbackAllowed    = "callback.allowed"
	CheckCallbackOurs       = "callback.ours"
	CheckControllerKnown    = "controller.known"
	CheckDomain             = "domain.known"
	CheckSigned             = "signature.present"
	CheckSignature          = "signature.valid"
	CheckCertificate        = "certificate.well_formed"
	CheckCertificateChain   = "certificate.trusted"
	CheckCertificateIssued  = "certificate.not_self_signed"
	CheckCertificateTime    = "certificate.in_force"
	CheckCertificateDomain  = "certificate.domain"
	CheckCertificateKey     = "certificate.key_strength"
	CheckCertificateRevoked = "certificate.not_revoked"
	CheckForward            = "status.forward"
	CheckReplay             = "message.new"
)

// Refusal says by which check a message was refused, in words that hold nothing of it. It
// wraps [privacy.ErrInvalid] when the message is malformed or asks for what is not
// possible, and [privacy.ErrForbidden] when its sender is not believed.
type Refusal struct {
	Check  string
	Reason string
}

// Error gives check and reason.
func (r *Refusal) Error() string {
	return fmt.Sprintf("OpenDSR message refused by %s: %s", r.Check, r.Reason)
}

// Unwrap returns the kind of the refusal.
func (r *Refusal) Unwrap() error {
	switch r.Check {
	case CheckDomain, CheckSigned, CheckSignature, CheckCertificate, CheckCertificateChain, CheckCertificateIssued,
		CheckCertificateTime, CheckCertificateDomain, CheckCertificateKey, CheckCertificateRevoked, CheckControllerKnown:
		return privacy.ErrForbidden
	case CheckDuplicate, CheckCancellable, CheckForward, CheckReplay:
		return privacy.ErrConflict
	}
	return privacy.ErrInvalid
}

func malformed(reason string) *Refusal { return &Refusal{Check: CheckBody, Reason: reason} }
func field(name, reason string) *Refusal {
	return &Refusal{Check: CheckField, Reason: name + " " + reason}
}
func identityFault(reason string) *Refusal { return &Refusal{Check: CheckIdentity, Reason: reason} }
