// Package arch holds the direction of imports, as a table that a test executes.
//
// The table is policy, after Go's own go/build/deps_test.go: an edge that is not in it is
// a question for the design and not a build fix. What it buys: the vocabulary can be read
// alone, no rule of the domain depends on how it is stored or served, and each third-party
// module can be replaced in one place.
package arch

// table says what each package may import. A line is
//
//	package: packages of this module; third-party modules
//
// where domain stands for all packages above the line of postgres. A line "test package"
// adds what only the tests of the package may import; go-cmp, the package itself and what
// it may import otherwise are open to every test. A line "never package" takes packages
// of the standard library away.
const table = `
privacy:
audit:             privacy; golang.org/x/mod
audit/bundle:      privacy audit; golang.org/x/mod
audit/verdict:     privacy audit audit/bundle audit/witness; golang.org/x/mod
audit/wording:     privacy audit
audit/anchor:      privacy audit; golang.org/x/mod
audit/page:        audit/wording
audit/witness:     privacy audit; golang.org/x/mod
audit/tally:       privacy audit audit/wording; golang.org/x/mod
vault:             privacy audit; github.com/tink-crypto/tink-go/v2 golang.org/x/text golang.org/x/net
pseudonym:         privacy audit; github.com/tink-crypto/tink-go/v2
vault/keyuse:      privacy audit vault
vault/keydir:      privacy audit vault pseudonym; github.com/tink-crypto/tink-go/v2
policies:          privacy; github.com/open-policy-agent/opa go.yaml.in/yaml/v3 golang.org/x/mod
policies/fetch:    privacy policies
dsar/outbox:       privacy audit vault
dsar/outbox/webhook: privacy dsar/outbox
dsar/outbox/mail:  privacy dsar/outbox
consent:           privacy audit vault pseudonym policies
consent/proof:     privacy audit consent
consent/notice:    privacy audit
consent/signal:    privacy audit policies consent consent/signal/bits consent/signal/gpc consent/signal/tcf consent/signal/gpp consent/signal/consentmode
consent/signal/bits:
consent/signal/gpc:
consent/signal/tcf: consent/signal/bits
consent/signal/gpp: consent/signal/bits consent/signal/tcf
consent/signal/consentmode: consent/signal/bits
consent/link:      privacy audit vault consent
consent/subscriber: privacy audit vault pseudonym consent dsar/outbox
consent/receipt:   privacy audit pseudonym policies consent; github.com/tink-crypto/tink-go/v2
dsar/clock:        privacy; go.yaml.in/yaml/v3
consent/iys:       privacy audit vault consent dsar/clock
consent/iys/client: privacy consent/iys dsar/clock
dsar/letter:       privacy dsar dsar/clock; go.yaml.in/yaml/v3
dsar:              privacy audit vault pseudonym policies dsar/clock
dsar/ledger:       privacy audit dsar
dsar/certificate:  privacy audit; golang.org/x/mod
dsar/opendsr:      privacy audit vault pseudonym dsar dsar/outbox
dsar/opendsr/courier: privacy audit vault dsar dsar/outbox dsar/opendsr
dsar/opendsr/conformance: privacy dsar dsar/opendsr dsar/opendsr/courier
dsar/identity:     privacy audit vault dsar dsar/outbox
dsar/fulfil:       privacy audit vault policies consent dsar
intake:            privacy audit vault pseudonym policies consent; go.yaml.in/yaml/v3
gate/casework:     privacy audit
gate:              privacy audit vault pseudonym policies consent consent/signal gate/casework; go.yaml.in/yaml/v3
dsar/retention:    privacy audit vault policies dsar; golang.org/x/mod
archive:           privacy audit vault policies gate
cleanroom:         privacy audit policies cleanroom/noise; golang.org/x/mod
cleanroom/noise:   ; github.com/google/differential-privacy/go/v3
cleanroom/match:   privacy audit cleanroom; github.com/oasisprotocol/curve25519-voi github.com/cloudflare/circl github.com/tink-crypto/tink-go/v2
cleanroom/prepare: privacy audit vault intake cleanroom cleanroom/match; golang.org/x/mod
cleanroom/admit:   privacy audit policies cleanroom cleanroom/match cleanroom/prepare; golang.org/x/mod
cleanroom/draw:    privacy audit vault policies consent cleanroom cleanroom/match; go.yaml.in/yaml/v3
cleanroom/activate: privacy audit vault pseudonym policies consent cleanroom cleanroom/noise cleanroom/draw
cleanroom/persona: privacy audit vault policies consent cleanroom cleanroom/noise cleanroom/draw; go.yaml.in/yaml/v3
dsar/export:       privacy audit vault policies consent gate archive cleanroom dsar; filippo.io/age golang.org/x/mod

migrations:        ; github.com/pressly/goose/v3
postgres:          domain migrations; github.com/jackc/pgx/v5 golang.org/x/mod
server/token:      privacy; github.com/tink-crypto/tink-go/v2
server:            domain consent/signal/gpc server/token; github.com/go-playground/validator/v10

internal/evidence: audit
internal/config:   privacy; go.yaml.in/yaml/v3 github.com/go-playground/validator/v10
internal/localpg:  ; github.com/jackc/pgx/v5
internal/pgtest:   internal/localpg migrations; github.com/jackc/pgx/v5
internal/assembly: domain consent/iys/client audit/anchor audit/bundle audit/tally dsar/opendsr/courier dsar/outbox/webhook dsar/outbox/mail policies/fetch vault/keydir migrations postgres server server/token internal/config internal/localpg; golang.org/x/mod
internal/demo:     domain vault/keydir internal/assembly
internal/opendsrtest: dsar/opendsr
internal/browsertest:
internal/iystest:
internal/roomtest: privacy audit cleanroom
internal/roomattack: privacy audit policies cleanroom cleanroom/noise internal/roomtest
internal/witnesstest: audit audit/witness; golang.org/x/mod
internal/bench:    domain; github.com/jackc/pgx/v5 filippo.io/age golang.org/x/mod
internal/tamper:
internal/cli:      domain consent/signal/tcf audit/anchor audit/bundle audit/page audit/tally audit/wording audit/witness dsar/opendsr/courier dsar/opendsr/conformance vault/keydir migrations server server/token internal/config internal/localpg internal/assembly internal/demo internal/bench; github.com/spf13/cobra github.com/schollz/progressbar/v3 golang.org/x/term
internal/arch:
cmd/mahrem:        internal/cli
cmd/mahrem-verify: privacy audit audit/bundle audit/verdict

test audit/witness:     internal/witnesstest
test audit:             ; github.com/santhosh-tekuri/jsonschema/v6
test cleanroom:         internal/roomtest
test policies:          ; github.com/santhosh-tekuri/jsonschema/v6
test audit/page:        privacy audit audit/witness internal/browsertest; golang.org/x/mod
test pseudonym:         vault/keydir
test vault:             vault/keydir
test vault/keyuse:      vault/keydir
test cleanroom/draw:    vault/keydir
test cleanroom/persona: internal/roomattack
test cleanroom/activate: internal/roomtest vault/keydir; golang.org/x/mod
test dsar/outbox:       vault/keydir
test dsar/identity:     vault/keydir
test consent:           vault/keydir
test consent/iys:       consent/iys/client internal/iystest
test consent/iys/client: internal/iystest
test consent/link:      vault/keydir
test consent/subscriber: vault/keydir
test consent/receipt:   ; github.com/santhosh-tekuri/jsonschema/v6
test dsar:              vault/keydir
test dsar/opendsr:      internal/opendsrtest
test dsar/opendsr/courier: internal/opendsrtest
test dsar/opendsr/conformance: internal/opendsrtest
test consent/signal: ; go.yaml.in/yaml/v3
test intake:            vault/keydir
test cleanroom/admit:   intake
test gate:              vault/keydir
test archive:           vault/keydir
test dsar/export:       vault/keydir; github.com/santhosh-tekuri/jsonschema/v6
test migrations:        internal/pgtest
test postgres:          vault/keydir internal/roomtest internal/opendsrtest internal/witnesstest internal/pgtest; filippo.io/age
test server:            vault/keydir internal/opendsrtest internal/evidence; github.com/getkin/kin-openapi
test internal/roomattack: postgres internal/pgtest vault vault/keydir pseudonym consent cleanroom/activate cleanroom/draw
test internal/localpg:  internal/localpg
test internal/assembly: internal/iystest audit/verdict dsar/opendsr/conformance internal/evidence internal/opendsrtest internal/pgtest internal/witnesstest; github.com/jackc/pgx/v5 golang.org/x/mod
test internal/demo:     internal/config internal/pgtest internal/localpg postgres; github.com/jackc/pgx/v5
test internal/bench:     vault/keydir postgres server server/token internal/pgtest internal/localpg
test internal/cli:      internal/evidence internal/pgtest postgres; github.com/jackc/pgx/v5
test internal/tamper: consent consent/proof   privacy audit audit/bundle audit/witness postgres internal/cli internal/witnesstest internal/pgtest internal/localpg; github.com/anishathalye/porcupine github.com/jackc/pgx/v5 golang.org/x/mod
test cmd/mahrem:        audit internal/evidence internal/opendsrtest internal/witnesstest internal/pgtest internal/localpg; github.com/rogpeppe/go-internal github.com/jackc/pgx/v5

never postgres:   net/http html/template
never server:     database/sql
never privacy:    net/http database/sql os
never policies:   net/http database/sql
never vault/keyuse: net/http database/sql os
never dsar/outbox: net/http database/sql os
never dsar/identity: net/http database/sql os
never dsar/fulfil: net/http database/sql os
never dsar/outbox/webhook: database/sql os
never dsar/outbox/mail: net/http database/sql os
never consent:    net/http database/sql os
never consent/iys: net/http database/sql os
never consent/iys/client: database/sql os
never consent/notice: net/http database/sql os
never consent/link: net/http database/sql os
never consent/subscriber: net/http database/sql os
never consent/receipt: net/http database/sql os
never consent/signal: net/http database/sql os
never consent/signal/bits: net/http database/sql os
never consent/signal/gpc: net/http database/sql os
never consent/signal/tcf: net/http database/sql os
never consent/signal/gpp: net/http database/sql os
never consent/signal/consentmode: net/http database/sql os
never gate:       net/http database/sql
never gate/casework: net/http database/sql os
never archive:    net/http database/sql os
never dsar:       net/http database/sql
never dsar/ledger: net/http database/sql
never dsar/export: net/http database/sql html/template
never dsar/certificate: net/http database/sql os
never dsar/opendsr: net/http database/sql os
never cleanroom: net/http database/sql os
never cleanroom/noise: net/http database/sql os
never cleanroom/match: net/http database/sql os
never cleanroom/activate: net/http database/sql os
never cleanroom/draw: net/http database/sql os
never cleanroom/persona: net/http database/sql os
`
