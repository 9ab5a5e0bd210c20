# METADATA
# title: On which legal basis
# description: |
#   The bases that the purpose admits and the ledger supports; the strongest of them is
#   the one that is named. What a person has refused, withdrawn or objected to is not
#   done on another basis instead, unless law obliges.
package mahrem.basis

import data.mahrem.named

import future.keywords.not

name := "consent" if consent

else := "contract" if contract

else := "legal_obligation" if legal_obligation

else := "legitimate_interests" if legitimate_interests

ceiling := named.purpose.bases[name]

# METADATA
# title: The person consented to this purpose on this channel
# labels:
#   basis: consent
#   law: GDPR-6-1-a GDPR-7 KVKK-5-1
consent if {
	input.consent.state == "granted"
	input.consent.basis == "consent"
	named.purpose.bases.consent
	named.purpose.explicit == false
}

# METADATA
# title: The person consented explicitly to this purpose on this channel
# labels:
#   basis: consent
#   law: GDPR-6-1-a GDPR-7 GDPR-22-2-c KVKK-5-1
consent if {
	input.consent.state == "granted"
	input.consent.basis == "consent"
	input.consent.explicit == "yes"
	named.purpose.bases.consent
	named.purpose.explicit == true
}

# METADATA
# title: It belongs to the contract with the person
# labels:
#   basis: contract
#   law: GDPR-6-1-b KVKK-5-2-c
contract if {
	input.consent.state in {"never_asked", "granted", "expired"}
	named.purpose.bases.contract
}

# METADATA
# title: Law obliges the controller
# labels:
#   basis: legal_obligation
#   law: GDPR-6-1-c KVKK-5-2-a
legal_obligation if {
	input.consent.state in {"granted", "withdrawn", "refused", "objected", "expired", "never_asked"}
	named.purpose.bases.legal_obligation
}

# METADATA
# title: A legitimate interest that the person never turned down
# labels:
#   basis: legitimate_interests
#   law: GDPR-6-1-f KVKK-5-2-f
legitimate_interests if {
	input.consent.state == "never_asked"
	named.purpose.bases.legitimate_interests
}
