package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const sqlTemplateAdd = `
insert into cleanroom.template (room_id, name, version, text, digest, added_at)
values ($1, $2, $3, $4, $5, clock_timestamp())
on conflict (room_id, name, version) do nothing`

const sqlTemplateDigest = `
select t.digest
from cleanroom.template t
where t.room_id = $1 and t.name = $2 and t.version = $3`

const sqlTemplateSign = `
insert into cleanroom.template_signature (room_id, name, version, party_id, verifier, line, signed_at)
select $1, $2, $3, p.party_id, p.verifier, $6, clock_timestamp()
from cleanroom.party p
where p.party_id = $4 and p.verifier = $5 and p.removed_at is null
on conflict (room_id, name, version, party_id) do nothing`

const sqlTemplateSigned = `
select exists (select from cleanroom.template_signature s
    where s.room_id = $1 and s.name = $2 and s.version = $3 and s.party_id = $4 and s.verifier = $5)`

// AddTemplate implements [cleanroom.Registry].
func (s *RoomStore) AddTemplate(ctx context.Context, room cleanroom.RoomID, template *cleanroom.SignedTemplate, keys map[cleanroom.PartyID]string, event audit.Event) (audit.Receipt, error) {
	text, lines, err := divideNote(template, keys)
	if err != nil {
		return audit.Receipt{}, err
	}
	t := template.Template
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlTemplateAdd, string(room), t.Name, t.Version, text, template.Digest[:]); err != nil {
			return translate(err)
		}
		var digest []byte
		if err := tx.QueryRow(ctx, sqlTemplateDigest, string(room), t.Name, t.Version).Scan(&digest); err != nil {
			return translate(err)
		}
		if !bytes.Equal(digest, template.Digest[:]) {
			return fmt.Errorf("this version of the template says something else already: %w", privacy.ErrConflict)
		}
		for _, party := range template.Signers {
			if _, err := tx.Exec(ctx, sqlTemplateSign, string(room), t.Name, t.Version, string(party), keys[party], lines[party]); err != nil {
				return translate(err)
			}
			var counts bool
			if err := tx.QueryRow(ctx, sqlTemplateSigned, string(room), t.Name, t.Version, string(party), keys[party]).Scan(&counts); err != nil {
				return translate(err)
			}
			if !counts {
				return fmt.Errorf("a party has signed this version with a key that was taken back; the next version is there for its new one: %w", privacy.ErrConflict)
			}
		}
		return nil
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("filing template: %w", err)
	}
	return receipt, nil
}

// divideNote divides a signed template into its text and the lines of its signers.
func divideNote(template *cleanroom.SignedTemplate, keys map[cleanroom.PartyID]string) ([]byte, map[cleanroom.PartyID]string, error) {
	var verifiers []note.Verifier
	for _, party := range template.Signers {
		verifier, err := cleanroom.ParseVerifier(keys[party], party)
		if err != nil {
			return nil, nil, err
		}
		verifiers = append(verifiers, verifier)
	}
	n, err := note.Open(bytes.Clone(template.Note), note.VerifierList(verifiers...))
	if err != nil {
		return nil, nil, fmt.Errorf("filing template: its signatures do not fit: %w", privacy.ErrDamaged)
	}
	lines := map[cleanroom.PartyID]string{}
	for _, signature := range n.Sigs {
		lines[cleanroom.PartyID(signature.Name)] = "\u2014 " + signature.Name + " " + signature.Base64
	}
	return []byte(n.Text), lines, nil
}

// templateSelect reads templates t with the signatures that count: those by keys that their
// parties still have.
const templateSelect = `
select t.text, t.digest,
    array(select s.line from cleanroom.template_signature s
        join cleanroom.party p on p.party_id = s.party_id and p.verifier = s.verifier and p.removed_at is null
        where s.room_id = t.room_id and s.name = t.name and s.version = t.version order by s.party_id),
    array(select s.verifier from cleanroom.template_signature s
        join cleanroom.party p on p.party_id = s.party_id and p.verifier = s.verifier and p.removed_at is null
        where s.room_id = t.room_id and s.name = t.name and s.version = t.version order by s.party_id),
    array(select s.party_id from cleanroom.template_signature s
        join cleanroom.party p on p.party_id = s.party_id and p.verifier = s.verifier and p.removed_at is null
        where s.room_id = t.room_id and s.name = t.name and s.version = t.version order by s.party_id)
from cleanroom.template t`

const sqlTemplateFind = templateSelect + `
where t.room_id = $1 and t.name = $2 and t.version = $3`

const sqlTemplateList = templateSelect + `
where t.room_id = $1
order by t.name, t.version`

// readTemplate puts the note together again and checks every signature. One without any that
// counts is nil.
func readTemplate(row pgx.CollectableRow) (*cleanroom.SignedTemplate, error) {
	var text, digest []byte
	var lines, keys, parties []string
	if err := row.Scan(&text, &digest, &lines, &keys, &parties); err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, nil
	}
	var verifiers []note.Verifier
	for i, key := range keys {
		verifier, err := cleanroom.ParseVerifier(key, cleanroom.PartyID(parties[i]))
		if err != nil {
			return nil, fmt.Errorf("reading template: %w: %w", privacy.ErrDamaged, err)
		}
		verifiers = append(verifiers, verifier)
	}
	signed := string(text) + "\n" + strings.Join(lines, "\n") + "\n"
	opened, err := cleanroom.OpenTemplate([]byte(signed), verifiers)
	if err != nil {
		return nil, fmt.Errorf("reading template: %w: %w", privacy.ErrDamaged, err)
	}
	if !bytes.Equal(opened.Digest[:], digest) || len(opened.Signers) != len(parties) {
		return nil, fmt.Errorf("reading template: it is another one than its row says: %w", privacy.ErrDamaged)
	}
	return opened, nil
}

// Template implements [cleanroom.Rooms].
func (s *RoomStore) Template(ctx context.Context, room cleanroom.RoomID, name string, version int) (*cleanroom.SignedTemplate, error) {
	found, err := queryFirst(ctx, s.db, "finding template", readTemplate, sqlTemplateFind, string(room), name, version)
	if err == nil && found == nil {
		err = fmt.Errorf("finding template: nobody who takes part has signed it: %w", privacy.ErrNotFound)
	}
	return found, err
}

// Templates implements [cleanroom.Registry]. Those that nobody has signed who takes part are
// left out.
func (s *RoomStore) Templates(ctx context.Context, room cleanroom.RoomID) ([]*cleanroom.SignedTemplate, error) {
	found, err := queryAll(ctx, s.db, "listing templates", readTemplate, sqlTemplateList, string(room))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(t *cleanroom.SignedTemplate) bool { return t == nil }), nil
}
