package evidence

// The tables. A line is
//
//	operation = kind | kind + kind (kind kind)
//	operation ~ kind | kind (kind)
//	operation - reason (kind)
//
// "=" is what each success leaves: one of the kinds between "|"; those joined by "+" come
// together. "~" is what a success leaves when it changes or shows something: asked again,
// for what is done already, it leaves nothing. In parentheses is what may come along,
// and what a refusal leaves. "-" leaves nothing, for a reason that is given; in parentheses is what a refusal
// leaves all the same.

// routes are the operations of the HTTP API, in the order of server/routes.go.
const routes = `
POST /v1/query = query.answered | query.denied (key.created signal.rejected)
POST /v1/query:batch = query.answered | query.denied (key.created signal.rejected)
POST /access/v1/evaluation = query.answered | query.denied (key.created)
POST /access/v1/evaluations = query.answered | query.denied (key.created)
GET /.well-known/authzen-configuration - says where the operations are, to everybody
POST /v1/audience = audience.answered | audience.denied (key.created)
POST /v1/consents ~ consent.granted | consent.renewed | consent.refused | consent.withdrawn | consent.objected | consent.guardian_granted | consent.guardian_withdrawn (receipt.issued key.created)
POST /v1/signals ~ consent.objected | consent.refused | consent.granted | signal.rejected
GET /.well-known/gpc.json - says that the house listens, to everybody
POST /v1/consents:show = person.shown (key.created)
POST /v1/consents:withdraw = consent.withdrawn | consent.guardian_withdrawn
POST /v1/consents:link ~ key.created
GET /withdraw/{token} - shows what a link does, and nothing of whose it is
POST /withdraw/{token} ~ consent.withdrawn
GET /v1/consents/{consent_id}/receipt = receipt.issued (key.created)
GET /.well-known/jwks.json - public keys, for everybody
POST /v1/cases = case.opened (key.created)
POST /v1/cases:close = case.closed
POST /v1/objections = request.opened (consent.objected person.restricted key.created)
POST /v1/complaints = request.opened (key.created)
POST /v1/dsar/requests ~ request.opened (key.created request.refused)
POST /v1/dsar/requests:step = request.started | request.paused | request.resumed | request.extended | request.noted | request.denied | request.withdrawn | request.fulfilled (request.refused)
POST /v1/dsar/requests:send_code = request.notified (request.refused)
POST /v1/dsar/requests:verify = request.verified (request.unverified request.refused)
GET /v1/dsar/requests/{request_id} ~ person.shown
GET /v1/dsar/queue - lists days and states of requests and names nobody
GET /opendsr/{version}/discovery - says what is supported, to everybody
GET /opendsr/certificate.pem - is the house's own certificate, for everybody
POST /opendsr/{version}/requests ~ request.opened (request.refused)
GET /opendsr/{version}/requests/{subject_request_id} - tells a controller the state of its own request and nothing of the person
DELETE /opendsr/{version}/requests/{subject_request_id} = request.withdrawn (request.refused)
POST /opendsr/{version}/opengdpr_requests ~ request.opened (request.refused)
GET /opendsr/{version}/opengdpr_requests/{subject_request_id} - tells a controller the state of its own request and nothing of the person
DELETE /opendsr/{version}/opengdpr_requests/{subject_request_id} = request.withdrawn (request.refused)
POST /opendsr/callbacks ~ processor.answered (request.refused processor.added)
POST /v1/rooms/{room}/snapshots ~ snapshot.admitted (room.denied key.created snapshot.dropped)
GET /v1/rooms/{room}/snapshots/{manifest} - tells a party how much has come of what it sends itself
POST /v1/rooms/{room}/oprf:evaluate = room.evaluated (room.denied key.created)
GET /v1/rooms - shows settings to those who are in them
GET /v1/rooms/{room} ~ key.created
POST /v1/rooms/{room}/contracts ~ contract.signed (room.denied)
GET /v1/rooms/{room}/contracts - shows settings that their owners have signed
GET /v1/rooms/{room}/contracts/{dataset} - shows settings that their owners have signed
POST /v1/rooms/{room}/templates ~ template.signed (room.denied)
GET /v1/rooms/{room}/templates - shows settings that parties have signed
POST /v1/rooms/{room}/queries = room.charged + room.released | room.released (room.denied room.failed)
POST /v1/rooms/{room}/queries:price = room.priced (room.denied)
GET /v1/rooms/{room}/budget - shows a party what is left to it, and nothing of anybody's data (room.denied)
POST /v1/rooms/{room}/activations = room.charged + room.activated (room.denied room.failed key.created)
POST /v1/ingest ~ batch.ingested (consent.imported)
POST /v1/reidentify = person.reidentified (reidentification.denied key.created)
GET /v1/dsar/exports/{token} = export.fetched
GET /v1/notices/{version} - shows what everybody is shown
GET /v1/decisions/{decision_id} = decision.shown
GET /v1/audit/checkpoint - is a signature over the log and nothing that is in it
GET /log/checkpoint - is a signature over the log and nothing that is in it
GET /log/tile/{level}/{number...} - hashes, of which nobody can guess what they are of
GET /log/tile/entries/{number...} ~ log.read
GET /healthz - says that the process lives
GET /readyz - says whether the parts work, with counts of the house
GET /metrics - totals of the house, of nobody
GET /openapi.yaml - is documentation
`

// commands are those of the command line, in the order of their names. What any command may
// leave besides, when it opens a house in which an erasure was broken off, is in finishing.
const commands = `
mahrem audience ask = audience.answered | audience.denied (key.created)
mahrem audience refresh ~ consent.expired
mahrem audit anchor ~ log.anchored
mahrem audit archive ~ log.archived | log.pruned
mahrem audit diff - compares what lies in files
mahrem audit doctor - compares definitions and shows nothing of the log
mahrem audit export = log.exported
mahrem audit growth - hashes of the tree, and no entry
mahrem audit key - prints a public key
mahrem audit page - is a page that works without us
mahrem audit prove ~ log.read
mahrem audit reconcile ~ keys.counted
mahrem audit report ~ log.read
mahrem audit retention ~ log.retention_set
mahrem audit status - shows sizes, times and names of witnesses, and nothing of what the log says
mahrem audit tail - entries hold tags and words and nobody's data; who reads them here has the tables and the key directory
mahrem audit verify - recomputes, and shows nothing but what is wrong
mahrem audit verify-proof - reads a file that somebody was given
mahrem auditd - may add checkpoints and no entries; that its key signs, the server logs as log.key_changed
mahrem auditd init - makes a key that signs nothing yet and opens nobody
mahrem auditd status - shows what the signer remembers, from its own directory
mahrem bench audience - works on a house of its own, which is gone afterwards
mahrem bench audit - works on a house of its own, which is gone afterwards
mahrem bench consent - works on a house of its own, which is gone afterwards
mahrem bench dsar - works on a house of its own, which is gone afterwards
mahrem bench gate - works on a house of its own, which is gone afterwards
mahrem bench intake - works on a house of its own, which is gone afterwards
mahrem bench policy - works on a house of its own, which is gone afterwards
mahrem bench room - works on a house of its own, which is gone afterwards
mahrem case close = case.closed
mahrem case list ~ person.shown
mahrem case open = case.opened (key.created)
mahrem catalogue find - shows the words of the catalogue
mahrem catalogue lint - checks the words of the catalogue
mahrem catalogue schema - prints a schema
mahrem catalogue show - shows the words of the catalogue
mahrem certificate issue ~ certificate.issued
mahrem certificate list - names nobody: who was erased is not known any more
mahrem certificate show - reads a file that somebody was given
mahrem certificate verify - reads a file that somebody was given
mahrem complaint close = request.fulfilled (request.started request.refused)
mahrem complaint file ~ request.opened (key.created)
mahrem complaint list - lists days, states and categories of complaints and names nobody
mahrem complaint show = person.shown
mahrem consent at = person.shown
mahrem consent grant ~ consent.granted | consent.guardian_granted
mahrem consent history = person.shown
mahrem consent link ~ key.created
mahrem consent object ~ consent.objected
mahrem consent receipt issue = receipt.issued (key.created)
mahrem consent receipt keys - prints public keys
mahrem consent receipt rotate = key.created
mahrem consent receipt show - reads a file that somebody was given
mahrem consent receipt verify - reads a file that somebody was given
mahrem consent refuse ~ consent.refused
mahrem consent renew ~ consent.renewed
mahrem consent show = person.shown
mahrem consent withdraw = consent.withdrawn | consent.guardian_withdrawn
mahrem decision replay = decision.shown
mahrem decision show = decision.shown
mahrem demo - works on a house of its own, whose log it shows
mahrem doctor - looks whether the parts work
mahrem dsar approve ~ erasure.approved (erasure.denied request.refused)
mahrem dsar deadline - computes with dates
mahrem dsar deliveries ~ request.noted | request.notified | processor.notified | subscriber.told
mahrem dsar deny = request.denied (request.refused)
mahrem dsar erase ~ person.erased (consent.erased request.fulfilled certificate.issued erasure.denied erasure.deferred request.refused)
mahrem dsar export = person.exported (request.fulfilled request.notified request.refused)
mahrem dsar extend = request.extended (request.refused)
mahrem dsar fulfil = request.fulfilled (request.refused)
mahrem dsar letter = person.shown
mahrem dsar list ~ person.shown
mahrem dsar note = request.noted (request.refused)
mahrem dsar object ~ consent.objected + request.noted (request.refused)
mahrem dsar open ~ request.opened (request.refused)
mahrem dsar open-export - reads a file that somebody was given
mahrem dsar pause = request.paused (request.refused)
mahrem dsar plan ~ erasure.planned (request.refused)
mahrem dsar readmit = suppression.lifted
mahrem dsar rectify = person.rectified | person.restricted (request.refused)
mahrem dsar restrict = person.restricted | person.unrestricted (request.refused)
mahrem dsar resume = request.resumed (request.refused)
mahrem dsar review = request.noted (request.refused)
mahrem dsar show ~ person.shown
mahrem dsar start = request.started (request.refused)
mahrem dsar verify ~ request.verified | request.notified (request.unverified request.refused)
mahrem dsar withdraw = request.withdrawn (request.refused)
mahrem erasure check ~ erasure.replayed
mahrem erasure ledger - compares counts and seals
mahrem erasure replay ~ erasure.replayed | log.restored (suppression.lifted)
mahrem hold list ~ person.shown
mahrem hold release = hold.released
mahrem hold set = hold.set
mahrem init = log.started + key.created + policy.activated
mahrem intake load ~ batch.ingested (consent.imported)
mahrem intake maps - lists what ships with the binary
mahrem iys export ~ registry.exchanged
mahrem iys import ~ registry.exchanged (consent.imported)
mahrem iys pull ~ registry.exchanged (consent.imported)
mahrem iys status - shows how far the exchange is, with counts, and names nobody
mahrem migrate status - lists what ships with the binary
mahrem migrate up - runs before the log can be opened; the next server.started stands for the binary that did it
mahrem notice add ~ notice.published
mahrem notice list - lists what everybody is shown
mahrem notice show - shows what everybody is shown
mahrem objection file ~ request.opened (consent.objected person.restricted key.created)
mahrem opendsr accept = request.verified (request.refused)
mahrem opendsr certificate = key.created
mahrem opendsr conformance - asks somebody else's processor; what that leaves is in its own log
mahrem opendsr controller add = processor.added
mahrem opendsr controller list - shows settings
mahrem opendsr controller retire = processor.added
mahrem opendsr keygen = key.created
mahrem outbox list - lists where deliveries go to and how they stand, and nothing that is in them
mahrem outbox retry ~ delivery.retried (subscriber.told request.notified processor.notified)
mahrem persona build ~ persona.built (room.charged room.denied)
mahrem persona define = persona.defined (room.denied)
mahrem persona list - lists definitions, and nobody
mahrem persona show - shows what was told already
mahrem policy bundle build - writes files; what decides is in policy.activated
mahrem policy bundle extract - writes files; what decides is in policy.activated
mahrem policy bundle keygen - writes files; whose signature counts is a setting
mahrem policy bundle sign - writes files; what decides is in policy.activated
mahrem policy bundle verify - reads files
mahrem policy check - works on policies, without anybody's data
mahrem policy diff - works on policies, without anybody's data
mahrem policy equivalence - works on made-up people
mahrem policy explain - works on policies, without anybody's data
mahrem policy impact = decision.shown
mahrem policy mutate - works on policies, without anybody's data
mahrem policy table - works on policies, without anybody's data
mahrem policy test - works on policies, without anybody's data
mahrem processor add = processor.added
mahrem processor leave-open = request.noted
mahrem processor list - shows settings
mahrem processor retire = processor.added
mahrem processor status - shows states of a request and names nobody
mahrem processor tell = processor.notified (key.created)
mahrem query = query.answered | query.denied (key.created)
mahrem retention plan - counts what would go, of everybody together
mahrem retention report ~ retention.applied
mahrem retention run ~ retention.applied | withheld.erased
mahrem room activate = room.activated | room.denied | room.failed (key.created room.charged)
mahrem room admit ~ snapshot.admitted (room.denied key.created snapshot.dropped)
mahrem room budget - shows what is left to a party, and nothing of anybody's data (room.denied)
mahrem room close = room.closed
mahrem room contract add = contract.signed (room.denied)
mahrem room contract draft - prints a form
mahrem room contract list - shows settings that their owners have signed
mahrem room contract send - brings a file to a house; what that leaves is in its log
mahrem room contract show - shows settings that their owners have signed
mahrem room contract sign - works at a party, with a file and the party's key
mahrem room draw = snapshot.admitted | snapshot.drawn (key.created room.evaluated room.denied snapshot.dropped)
mahrem room drop = snapshot.dropped
mahrem room key new - makes a key on a party's own side
mahrem room list - shows settings
mahrem room match = room.matched (snapshot.dropped room.denied)
mahrem room open = room.opened
mahrem room party add = party.admitted
mahrem room party list - shows settings
mahrem room party remove = party.removed
mahrem room prepare - works on a party's own side, with its own data, and writes files
mahrem room query = room.priced | room.charged + room.released | room.released (room.denied room.failed)
mahrem room remask - works on a party's own side, and writes files
mahrem room report = log.read
mahrem room send - brings files to a house; what that leaves is in its log
mahrem room show ~ key.created
mahrem room snapshots - shows which datasets are in a room, as their owners declared them
mahrem room template add = template.signed (room.denied)
mahrem room template list - shows settings that parties have signed
mahrem room template send - brings a file to a house; what that leaves is in its log
mahrem room template sign - works at a party, with a file and the party's key
mahrem room uplift - compares two answers that somebody was given
mahrem serve = server.started + server.stopped
mahrem signal decode - reads what somebody was sent
mahrem subject show = person.shown
mahrem subscriber add = subscriber.added (key.created)
mahrem subscriber list - shows words and addresses of recipients, and nobody
mahrem subscriber remove = subscriber.removed
mahrem token mint = token.minted
mahrem version - prints a version
`

// chores are what a server does by itself, and what opening a house may finish.
const chores = `
opening a house ~ person.erased | request.fulfilled | certificate.issued (consent.erased policy.refused policy.activated log.key_changed)
watching policies ~ policy.activated | policy.refused
counting what keys were opened for ~ keys.counted
anchoring checkpoints ~ log.anchored
making deliveries ~ request.notified | processor.notified | subscriber.told
issuing certificates ~ certificate.issued | request.fulfilled
the periodic destruction ~ retention.applied | withheld.erased
answers of processors ~ processor.answered
writing to the log ~ clock.set_back
looking for erased people who are back ~ erasure.replayed
asking the registry of messages ~ registry.exchanged (consent.imported)
making profiles of audiences ~ consent.expired
noting what has ended in the consent ledger ~ consent.expired
reviewing who is in clean rooms ~ room.left
tidying clean rooms ~ snapshot.dropped | room.failed
sweeping exports that nobody fetched - destroys copies; that they were made is in person.exported
`

// later are kinds of which the way in is not built yet, each with what it is for.
const later = `
`
