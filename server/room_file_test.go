package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// What a shop has signed, with a key that never changes.
var (
	shopKey      = must(newShopKey())
	shopContract = must(newShopContract())
	shopTemplate = must(newShopTemplate())
)

func newShopKey() (*cleanroom.Signer, error) {
	secret, _, err := cleanroom.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)), "shop")
	if err != nil {
		return nil, err
	}
	return cleanroom.ParseSigner(secret)
}

func newShopContract() (*cleanroom.FiledContract, error) {
	contract, err := cleanroom.ParseContract([]byte(`{
  "owner": "shop", "dataset": "purchases", "version": 1, "source": "party", "unit": "person", "purposes": ["campaign_measurement"],
  "columns": [{"name": "tier", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["gold", "silver"]}],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 1, "ad_hoc": true
}`))
	if err != nil {
		return nil, err
	}
	signed, err := cleanroom.SignContract(contract, shopKey)
	if err != nil {
		return nil, err
	}
	verifier, err := cleanroom.ParseVerifier(shopKey.Public(), "shop")
	if err != nil {
		return nil, err
	}
	opened, err := cleanroom.OpenContract(signed, verifier)
	if err != nil {
		return nil, err
	}
	return &cleanroom.FiledContract{SignedContract: *opened, Verifier: shopKey.Public(), AddedAt: time.Unix(3, 0)}, nil
}

func newShopTemplate() (*cleanroom.SignedTemplate, error) {
	template, err := cleanroom.ParseTemplate([]byte(`{
  "name": "reach", "version": 1,
  "query": {
    "room": "spring", "from": [{"dataset": "shop.purchases", "as": "p"}], "where": [{"col": "p.tier", "op": "=", "val": {"hole": "tier"}}],
    "metrics": [{"fn": "people", "as": "reach"}], "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "campaign_measurement"
  }
}`))
	if err != nil {
		return nil, err
	}
	signed, err := cleanroom.SignTemplate(template, shopKey)
	return &cleanroom.SignedTemplate{Template: template, Note: signed, Digest: audit.Digest{9}, Signers: []cleanroom.PartyID{"shop"}}, err
}

// fakeFiler files everything; what says "repeated" was there already.
type fakeFiler struct {
	*fake
	room   cleanroom.RoomID
	signed string
	reason string
}

func (f *fakeFiler) take(room cleanroom.RoomID, signed []byte, reason string) (audit.Receipt, error) {
	f.room, f.signed, f.reason = room, string(signed), reason
	if f.err != nil || f.unlogged || string(signed) == "repeated" {
		return audit.Receipt{}, f.err
	}
	return receipt(51), nil
}

func (f *fakeFiler) FileContract(_ context.Context, _ privacy.Principal, room cleanroom.RoomID, signed []byte, reason string) (*cleanroom.ContractFiling, error) {
	receipt, err := f.take(room, signed, reason)
	return &cleanroom.ContractFiling{Contract: shopContract, Receipt: receipt, Repeated: string(signed) == "repeated"}, err
}

func (f *fakeFiler) FileTemplate(_ context.Context, _ privacy.Principal, room cleanroom.RoomID, signed []byte) (*cleanroom.TemplateFiling, error) {
	receipt, err := f.take(room, signed, "")
	return &cleanroom.TemplateFiling{Template: shopTemplate, Receipt: receipt, Repeated: string(signed) == "repeated"}, err
}

func filing(target, body string) request {
	return request{target: target, token: "service", contentType: "text/plain", body: body}
}

// Notes go to the desk byte for byte, and come back with what they say.
func TestFileContractsAndTemplates(t *testing.T) {
	t.Parallel()
	f := &fake{}
	desk := &fakeFiler{fake: f}
	s := New(Services{Tokens: f, RoomFiler: desk, Rooms: fakeReader{}}, Config{})
	const note = "mahrem contract v1\n{}\n\n— shop AAAA\n"
	w := do(s, filing("/v1/rooms/spring/contracts?reason=a%20second%20campaign", note))
	mustStatus(t, w, http.StatusCreated)
	if desk.room != "spring" || desk.signed != note || desk.reason != "a second campaign" {
		t.Errorf("the desk got %+v", desk)
	}
	var filed struct {
		Dataset, Digest, Note string
		Version               int
		Contract              struct{ Owner string }
		Log                   *struct{ Index int }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &filed); err != nil {
		t.Fatal(err)
	}
	if filed.Dataset != "shop.purchases" || filed.Version != 1 || filed.Contract.Owner != "shop" || filed.Note != string(shopContract.Note) || filed.Log == nil || filed.Log.Index != 51 {
		t.Errorf("answered %s", w.Body)
	}
	for _, path := range []string{"/v1/rooms/spring/contracts", "/v1/rooms/spring/templates"} {
		w := do(s, filing(path, "repeated"))
		mustStatus(t, w, http.StatusOK)
		if strings.Contains(w.Body.String(), `"log"`) {
			t.Errorf("%s: nothing was logged and the answer says where: %s", path, w.Body)
		}
		mustStatus(t, do(s, filing(path, strings.Repeat("x", cleanroom.MaximumDocument+1))), http.StatusRequestEntityTooLarge)
		mustStatus(t, do(s, filing(path+"?force=1", note)), http.StatusBadRequest)
		typed := filing(path, note)
		typed.contentType = "application/json"
		mustStatus(t, do(s, typed), http.StatusUnsupportedMediaType)
		// Without evidence there is no answer.
		mustStatus(t, do(newServer(&fake{unlogged: true}, Config{}), filing(path, note)), http.StatusInternalServerError)
	}
	mustStatus(t, do(s, filing("/v1/rooms/spring/contracts?reason=a&reason=b", note)), http.StatusBadRequest)
	mustStatus(t, do(s, filing("/v1/rooms/spring/templates?reason=a", note)), http.StatusBadRequest)
}

// What the errors of a filing become: what is wrong with what was sent is never a defect here.
func TestFilingProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{errors.Join(cleanroom.ErrSignature, privacy.ErrDamaged), 422, `"reason":"the signature is not one of the party's key`},
		{privacy.ErrDamaged, 500, "internal-error"},
		{errors.Join(privacy.ErrDamaged, privacy.ErrInvalid), 500, "internal-error"},
		{fmt.Errorf("reading contract: %w", privacy.ErrInvalid), 422, `"errors":[{"pointer":"","reason":"this is nothing signed of its kind`},
		{&privacy.FieldError{Pointer: "/purposes/0", Reason: "the policies refuse such a dataset: room.words_harmless"}, 422, `"pointer":"/purposes/0","reason":"the policies refuse`},
		{&cleanroom.Denied{Checks: []string{cleanroom.CheckOwner}}, 403, `"checks":["room_owner"]`},
		{privacy.ErrConflict, 409, "conflict"},
		{privacy.ErrUnavailable, 503, "unavailable"},
	} {
		for _, path := range []string{"/v1/rooms/spring/contracts", "/v1/rooms/spring/templates"} {
			w := do(newServer(&fake{err: test.err}, Config{}), filing(path, "note"))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%s: %v becomes %d %s", path, test.err, w.Code, w.Body)
			}
		}
	}
}

// What is filed is shown to members of the room, and of its datasets alone.
func TestShowContractsAndTemplates(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	get := func(target string) (int, string) {
		w := do(s, request{method: "GET", target: target, token: "service"})
		return w.Code, w.Body.String()
	}
	status, body := get("/v1/rooms/spring/contracts")
	if status != http.StatusOK || strings.Count(body, `"dataset"`) != 2 || !strings.HasPrefix(body, `{"contracts":[{"dataset":"shop.purchases","version":1,`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body = get("/v1/rooms/spring/contracts/shop.purchases"); status != http.StatusOK || !strings.HasPrefix(body, `{"versions":[{"dataset":"shop.purchases"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body = get("/v1/rooms/spring/templates"); status != http.StatusOK || !strings.Contains(body, `"signed_by":["shop"],"holes":["tier"],"query":{`) {
		t.Errorf("%d %s", status, body)
	}
	for target, want := range map[string]int{
		"/v1/rooms/winter/contracts": 404, "/v1/rooms/winter/templates": 404, "/v1/rooms/winter/contracts/shop.purchases": 404,
		"/v1/rooms/spring/contracts/shop.other": 404, "/v1/rooms/spring/contracts/purchases": 404, "/v1/rooms/spring/contracts?all=1": 400,
	} {
		if status, body := get(target); status != want {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
}
