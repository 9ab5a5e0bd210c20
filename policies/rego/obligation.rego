# METADATA
# title: What the recipient must observe in this situation
# description: |
#   What a purpose, channel, recipient or data category always demands stands in the
#   catalogue and is added to the plan without a rule.
package mahrem.obligation

import data.mahrem.named

import future.keywords.not

# METADATA
# title: What reacts to an event is welcome only for a while
# labels:
#   law: GDPR-5-1-d
due contains "use_before" if input.trigger == "fresh"

# METADATA
# title: Whoever gave consent for an incentive loses no more than the incentive
# labels:
#   law: GDPR-7-4 GDPR-recital-42 US-CA-1798.125
due contains "no_detriment" if input.consent.incentive == "yes"

# METADATA
# title: Post about habits is read by the whole household
# labels:
#   law: GDPR-5-1-f KVKK-12-1
due contains "no_postal_household" if {
	input.subject.household != "single"
	named.purpose.profiling == true
}
