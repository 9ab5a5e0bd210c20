# METADATA
# title: On which legal basis
# description: |
#   The bases that the purpose admits and the ledger supports; the strongest of them is
#   the one that is named. What a person has refused, withdrawn or objected to is not
#   done on another basis instead, unless law obliges.
package mahrem.basis

import data.mahrem.named

import future.keywords.not

name := "consent" if standing.consent

else := "contract" if standing.contract

else := "legal_obligation" if standing.legal_obligation

else := "legitimate_interests" if standing.legitimate_interests

ceiling := named.purpose.bases[name]

# METADATA
# title: The person consented to this purpose on this channel
# labels:
#   basis: consent
#   law: GDPR-6-1-a GDPR-7 KVKK-5-1
standing contains "consent" if {
	input.consent.state in named.purpose.yes
	input.consent.basis == "consent"
	named.purpose.bases.consent
	named.purpose.explicit == false
}

# METADATA
# title: The person consented explicitly to this purpose on this channel
# labels:
#   basis: consent
#   law: GDPR-6-1-a GDPR-7 GDPR-22-2-c KVKK-5-1
standing contains "consent" if {
	input.consent.state in named.purpose.yes
	input.consent.basis == "consent"
	input.consent.explicit == "yes"
	named.purpose.bases.consent
	named.purpose.explicit == true
}

# METADATA
# title: What the purpose may also stand on, as long as the ledger says nothing against it
# labels:
#   law: GDPR-6-1 KVKK-5
standing contains basis if {
	some basis, states in offered
	input.consent.state in states
}

# What the purpose admits beside consent, each with the states of the ledger that bear it.
offered := {basis: states | some basis, states in borne; named.purpose.bases[basis]}

# METADATA
# title: It belongs to the contract with the person
# labels:
#   basis: contract
#   law: GDPR-6-1-b KVKK-5-2-c
borne["contract"] := {"never_asked", "granted", "expired", "stale_notice", "guardian_missing"}

# METADATA
# title: Law obliges the controller
# labels:
#   basis: legal_obligation
#   law: GDPR-6-1-c KVKK-5-2-a
borne["legal_obligation"] := {
	"granted", "withdrawn", "refused", "objected", "expired", "never_asked", "stale_notice", "guardian_missing",
}

# METADATA
# title: A legitimate interest that the person never turned down
# labels:
#   basis: legitimate_interests
#   law: GDPR-6-1-f KVKK-5-2-f
borne["legitimate_interests"] := {"never_asked"}
