# METADATA
# title: Which data categories open
# description: |
#   A category opens if the purpose admits it, if it is free of explicit consent in the
#   person's jurisdiction or was explicitly consented to for this purpose (GDPR Article
#   9(2)(a), KVKK Article 6(3)(a)), and if it needs no open case or has one.
package mahrem.category

import data.mahrem.asked
import data.mahrem.named

import future.keywords.not

# METADATA
# title: The category needs no explicit consent here
# labels:
#   law: GDPR-9-1 KVKK-6-1
granted contains category if {
	some category, properties in asked.categories
	input.subject.jurisdiction in properties.free_in
}

# METADATA
# title: The person consented explicitly to the category for this purpose
# labels:
#   law: GDPR-9-2-a KVKK-6-3-a
granted contains category if {
	input.consent.explicit == "yes"
	some category, _ in asked.categories
	cleared[category]
}

# METADATA
# title: Explicit consent to what is not special can be given for any purpose
# labels:
#   law: GDPR-7 KVKK-5-1
cleared contains category if {
	input.consent.state in named.purpose.yes
	input.consent.basis == "consent"
	input.consent.explicit == "yes"
	some category in input.grants
	data.catalogue.categories[category].special == false
}

# METADATA
# title: Explicit consent to a special category can be given where the purpose may ask
# labels:
#   law: GDPR-9-2-a KVKK-6-3-a
cleared contains category if {
	input.consent.state in named.purpose.yes
	input.consent.basis == "consent"
	input.consent.explicit == "yes"
	some category in input.grants
	data.catalogue.categories[category].special == true
	named.purpose.special == true
}
