package privacy

import "fmt"

// Role is what a caller may do at all; the policies decide about each act within it.
type Role string

// The roles. There is no role that may do everything.
const (
	// RoleService asks the gate on behalf of one recipient.
	RoleService Role = "service"
	// RoleDPO answers data subjects: consent, requests, erasure, re-identification.
	RoleDPO Role = "dpo"
	// RoleAuditor reads the log and the policies, never personal data.
	RoleAuditor Role = "auditor"
	// RoleIngest delivers data and reads nothing back.
	RoleIngest Role = "ingest"
)

// ParseRole returns the role that s names, or an error wrapping [ErrInvalid].
func ParseRole(s string) (Role, error) {
	if role := Role(s); role.Valid() {
		return role, nil
	}
	return "", fmt.Errorf("parsing role (service, dpo, auditor or ingest): %w", ErrInvalid)
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool {
	switch r {
	case RoleService, RoleDPO, RoleAuditor, RoleIngest:
		return true
	}
	return false
}

// Principal is whoever calls Mahrem: a program or a person with a token. It is never
// the data subject.
type Principal struct {
	// ID names the caller: a service name or an employee's account. Never empty.
	ID string
	// Role is what the caller may do at all.
	Role Role
	// Recipient is whom a service speaks for; empty for every other role.
	Recipient RecipientID
}

// MayKnowWhetherPersonExists reports whether the caller may be told that a person is
// unknown. Everyone else gets the answer that a person without consent would get.
func (p Principal) MayKnowWhetherPersonExists() bool { return p.Role == RoleDPO }
