# METADATA
# title: The catalogue entries that the facts name
# description: |
#   Undefined when the catalogue does not know the name, and then no check passes on it.
package mahrem.named

import future.keywords.not

purpose := data.catalogue.purposes[input.purpose]

recipient := data.catalogue.recipients[input.recipient]

channel := data.catalogue.channels[input.channel]
