# METADATA
# title: What the recipient must observe
package mahrem.obligation

import data.mahrem.category

import future.keywords.not

due contains name if some name, true in data.catalogue.purposes[input.purpose].obligations

due contains name if some name, true in data.catalogue.channels[input.channel].obligations

due contains name if some name, true in data.catalogue.recipients[input.recipient].obligations

due contains name if {
	some granted in category.granted
	some name, true in data.catalogue.categories[granted].obligations
}

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
	data.catalogue.purposes[input.purpose].profiling == true
}
