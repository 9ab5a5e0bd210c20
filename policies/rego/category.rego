# METADATA
# title: Which data categories open
# description: |
#   A category opens if the purpose admits it, if it is free of explicit consent in the
#   person's jurisdiction or was explicitly consented to for this purpose (GDPR Article
#   9(2)(a), KVKK Article 6(3)(a)), and if it needs no open case or has one.
package mahrem.category

import future.keywords.not

granted contains category if {
	some category in input.categories
	data.catalogue.purposes[input.purpose].categories[category]
	open(category)
	case_allows(category)
}

denied contains category if {
	some category in input.categories
	not category in granted
}

default persona := false

# METADATA
# title: The purpose is served by a persona too
# labels:
#   law: GDPR-5-1-c GDPR-25-2
persona if data.catalogue.purposes[input.purpose].persona == true

# METADATA
# title: The category needs no explicit consent here
# labels:
#   law: GDPR-9-1 KVKK-6-1
open(category) if data.catalogue.categories[category].explicit[input.subject.jurisdiction] == false

# METADATA
# title: The person consented explicitly to this category for this purpose
# labels:
#   law: GDPR-9-2-a KVKK-6-3-a
open(category) if category in cleared

# METADATA
# title: What the person consented to explicitly for this purpose
# description: A purpose that may not ask for special categories cannot be given them.
# labels:
#   law: GDPR-9-2-a KVKK-6-3-a
cleared contains category if {
	input.consent.state == "granted"
	input.consent.basis == "consent"
	input.consent.explicit == "yes"
	some category in input.grants
	may_ask(category)
}

may_ask(category) if data.catalogue.categories[category].special == false

may_ask(category) if {
	data.catalogue.categories[category].special == true
	data.catalogue.purposes[input.purpose].special == true
}

# METADATA
# title: The category needs no open case
# labels:
#   law: GDPR-5-1-b KVKK-4-2-c
case_allows(category) if data.catalogue.categories[category].case == false

# METADATA
# title: The caller handles the person's case
# labels:
#   law: GDPR-5-1-b KVKK-4-2-c
case_allows(category) if {
	data.catalogue.categories[category].case == true
	input.case == "handled"
}
