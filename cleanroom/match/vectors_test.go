package match

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are those of RFC 9497 appendix A.1.3: POPRF, ristretto255-SHA512. All have the
// info "test info", the blinds of the first column and a proof.
var vectors = []struct{ blind, input, blinded, evaluated, output, proof string }{
	{
		"64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706", "00",
		"c8713aa89241d6989ac142f22dba30596db635c772cbf25021fdd8f3d461f715",
		"1a4b860d808ff19624731e67b5eff20ceb2df3c3c03b906f5693e2078450d874",
		"ca688351e88afb1d841fde4401c79efebb2eb75e7998fa9737bd5a82a152406d38bd29f680504e54fd4587eddcf2f37a2617ac2fbd2993f7bdf45442ace7d221",
		"41ad1a291aa02c80b0915fbfbb0c0afa15a57e2970067a602ddb9e8fd6b7100de32e1ecff943a36f0b10e3dae6bd266cdeb8adf825d86ef27dbc6c0e30c52206",
	},
	{
		"64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
		"f0f0b209dd4d5f1844dac679acc7761b91a2e704879656cb7c201e82a99ab07d",
		"8c3c9d064c334c6991e99f286ea2301d1bde170b54003fb9c44c6d7bd6fc1540",
		"7c6557b276a137922a0bcfc2aa2b35dd78322bd500235eb6d6b6f91bc5b56a52de2d65612d503236b321f5d0bebcbc52b64b92e426f29c9b8b69f52de98ae507",
		"4c39992d55ffba38232cdac88fe583af8a85441fefd7d1d4a8d0394cd1de77018bf135c174f20281b3341ab1f453fe72b0293a7398703384bed822bfdeec8908",
	},
	// The second element of the batch of the third vector; its proof is the batch's.
	{
		"222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
		"423a01c072e06eb1cce96d23acce06e1ea64a609d7ec9e9023f3049f2d64e50c",
		"aa1f16e903841036e38075da8a46655c94fc92341887eb5819f46312adfc0504",
		"7c6557b276a137922a0bcfc2aa2b35dd78322bd500235eb6d6b6f91bc5b56a52de2d65612d503236b321f5d0bebcbc52b64b92e426f29c9b8b69f52de98ae507",
		"",
	},
}

const batchProof = "43fdb53be399cbd3561186ae480320caa2b9f36cca0e5b160c4a677b8bbf4301b28f12c36aa8e11e5a7ef551da0781e863a6dc8c0b2bf5a149c9e00621f02006"

// TestRFC9497 sees that the house evaluates, and parties blind and finish, as the RFC's
// vectors say.
func TestRFC9497(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{0xa3}, 32)
	private, err := oprf.DeriveKey(suite, oprf.PartialObliviousMode, seed, []byte("test key"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := private.MarshalBinary(); hex.EncodeToString(b) != "145c79c108538421ac164ecbe131942136d5570b16d8bf41a24d4337da981e07" {
		t.Errorf("secret key %x", b)
	}
	public, _ := private.Public().MarshalBinary()
	if hex.EncodeToString(public) != "c647bef38497bc6ec077c22af65b696efa43bff3b4a1975a3e8e0a1c5a79d631" {
		t.Errorf("public key %x", public)
	}
	info := func(int) []byte { return []byte("test info") }
	house := &EvaluatorKey{info, oprf.NewPartialObliviousServer(suite, private), public}
	party := &obliviously{oprf.NewPartialObliviousClient(suite, private.Public()), info(1), 1, func(_ context.Context, epoch int, blinded [][]byte) (Evaluation, error) {
		return house.Evaluate(epoch, blinded)
	}}
	for i, v := range vectors {
		// What the vectors fix: blinding and evaluating.
		blind := suite.Group().NewScalar()
		if err := blind.UnmarshalBinary(unhex(t, v.blind)); err != nil {
			t.Fatal(err)
		}
		blinds, request, err := party.client.DeterministicBlind([][]byte{unhex(t, v.input)}, []oprf.Blind{blind})
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := request.Elements[0].MarshalBinaryCompress(); hex.EncodeToString(b) != v.blinded {
			t.Errorf("vector %d: blinded %x", i, b)
		}
		answer, err := house.Evaluate(1, [][]byte{unhex(t, v.blinded)})
		if err != nil || hex.EncodeToString(answer.Elements[0]) != v.evaluated {
			t.Errorf("vector %d: evaluated %x, %v", i, answer.Elements, err)
		}
		if v.proof != "" { // the RFC's own proof is taken
			finish(t, party, blinds, []string{v.evaluated}, v.proof, v.output)
		}
		// What is drawn each time does not change the output.
		outputs, err := party.outputs(t.Context(), [][]byte{unhex(t, v.input)})
		if err != nil || hex.EncodeToString(outputs[0]) != v.output {
			t.Errorf("vector %d: output %x, %v", i, outputs, err)
		}
	}
	blinds, _, err := party.client.DeterministicBlind(
		[][]byte{unhex(t, vectors[0].input), unhex(t, vectors[2].input)},
		[]oprf.Blind{blindOf(t, vectors[0].blind), blindOf(t, vectors[2].blind)})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, party, blinds, []string{vectors[0].evaluated, vectors[2].evaluated}, batchProof, vectors[0].output, vectors[2].output)
}

func blindOf(t *testing.T, text string) oprf.Blind {
	t.Helper()
	s := suite.Group().NewScalar()
	if err := s.UnmarshalBinary(unhex(t, text)); err != nil {
		t.Fatal(err)
	}
	return s
}

// finish takes an evaluation and proof of the RFC.
func finish(t *testing.T, party *obliviously, blinds *oprf.FinalizeData, evaluated []string, proof string, want ...string) {
	t.Helper()
	var encoded [][]byte
	for _, e := range evaluated {
		encoded = append(encoded, unhex(t, e))
	}
	elements, err := decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	read := new(dleq.Proof)
	if err := read.UnmarshalBinary(suite.Group(), unhex(t, proof)); err != nil {
		t.Fatal(err)
	}
	outputs, err := party.client.Finalize(blinds, &oprf.Evaluation{Elements: elements, Proof: read}, party.info)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if hex.EncodeToString(outputs[i]) != want[i] {
			t.Errorf("output %x, want %s", outputs[i], want[i])
		}
	}
}

// TestPAIRKnownAnswers holds the bytes of pair mode. They were made by another program, from
// the text of RFC 9496 and of PAIR 1.1 alone: salt 00 01 … 1f, scalars SHA-512("advertiser")
// and SHA-512("publisher") reduced.
func TestPAIRKnownAnswers(t *testing.T) {
	t.Parallel()
	var salt PairSalt
	for i := range salt {
		salt[i] = byte(i)
	}
	advertiser, err := NewPair(salt, "W6jot0VSjh89jMdLAp70+zJXQ6FNoL+u+jdQ0dvzJQA=")
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := NewPair(salt, "L9spx6ZK5I1kes5vAqwpcdsWurjnZTQIPnYXOevKCA0=")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ person, advertiser, publisher, both string }{
		{"user@example.com", "ijpMCGgXDteuGj5uyK1O4AB2UgJJNNnQbX49Rnoy+zU=", "rFXnk0Uv808pzsHkIQq4vSjNSFXvSepn7Q+Dez17nD8=", "JjR2LBi1ndDvCvzuEOUfzT0XBrrVQwlXUU56WEN370o="},
		{"alice@hello.com", "GDRxozgoVvXG1gNO5v/ryR+zz9Fy1LPtc6qqbYTEZD4=", "Thred3jj2pTM2WEvXIpOkmrgH/EbpRtlrsmOtrAcEVo=", "EGYfZPO8ayzDLxRwCkmffocfnDwu2Zi3pc6wREGnh0U="},
		{"+905321234567", "KgE+SkAJH8gyz+fEPEM4CKowmq2/Y+vLeZNR2THOgz0=", "TJnAROeo1OJIBSJnNBNvbNX/u0GsJhZhDyx49oK/Fhc=", "GmgvsN26o9qn5jIvL4NtBB2e2fBp3mYnQ+Jhq/wuSRw="},
	} {
		person := privacy.NewPlain(v.person)
		ours, err := advertiser.Mask(t.Context(), []Seed{advertiser.Seed(person)})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := publisher.Mask(t.Context(), []Seed{publisher.Seed(person)})
		if err != nil {
			t.Fatal(err)
		}
		both, err := publisher.Remask(t.Context(), ours)
		if err != nil {
			t.Fatal(err)
		}
		otherWay, err := advertiser.Remask(t.Context(), theirs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := advertiser.Unmask(t.Context(), both)
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string]Token{v.advertiser: ours[0], v.publisher: theirs[0], v.both: both[0]} {
			if got.Text(cleanroom.MatchPair) != what {
				t.Errorf("%s: %s, want %s", v.person, got.Text(cleanroom.MatchPair), what)
			}
		}
		if otherWay[0] != both[0] || back[0] != theirs[0] {
			t.Errorf("%s: the scalars do not commute", v.person)
		}
	}
}

// TestKnownAnswers holds the bytes of the other modes and of what the house keeps, made by
// another program.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	person := privacy.NewPlain("user@example.com")
	blind, err := NewBlind(sequence(0, 32), "snacks", privacy.Email)
	if err != nil {
		t.Fatal(err)
	}
	keys := knownKeys(t)
	digest := Token(NewOperator().Seed(person))
	tags, err := keys.Tags(t.Context(), &cleanroom.Room{ID: "snacks", Matching: cleanroom.MatchOperator}, 3, []Token{digest})
	if err != nil {
		t.Fatal(err)
	}
	seat, err := keys.Seat(7, privacy.DataSubjectID(sequence(0, 16)))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := keys.Seed([32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	crowd, err := keys.Crowd("snacks", "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	derived, err := keys.compute(appendText(input(forOPRF), "snacks"), 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ what, got, want string }{
		{"operator", digest.Text(cleanroom.MatchOperator), "01:sha256:tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="},
		{"blind", Token(blind.Seed(person)).Text(cleanroom.MatchBlind), "02:hmac:MLm1aLEnKRdyGE0lPiAM5npwJKJx2wuI9fxq+OsBi/w="},
		{"tag", hex.EncodeToString(tags[0][:]), "951a1f5ccc8fd5607a5d29898e3513e6264a5e80ce393429ca27daffd596d885"},
		{"seat", hex.EncodeToString(seat[:]), "d44df094398400c7c932879cf6110469"},
		{"seed of a key", hex.EncodeToString(derived), "1bf2ce975852989dc1b348982a60ee620eb9df892cfff5f22e78faf1200e0f5d"},
		{"seed of a plan", fmt.Sprint(seed), "4408151050853776337"},
		{"key of a crowd", hex.EncodeToString(crowd[:]), "b57db2578769e31c7f29c00c140a8360770b1039907c4b80cca98be944f223f1"},
		{"info", string(info("snacks", 3)), "snacks/3"},
	} {
		if v.got != v.want {
			t.Errorf("%s: %s, want %s", v.what, v.got, v.want)
		}
	}
}

func sequence(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

// knownKeys are the house's under the key 40 41 … 5f.
func knownKeys(t *testing.T) *Keys {
	t.Helper()
	text := `{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.HmacPrfKey",` +
		`"value":"` + base64.StdEncoding.EncodeToString(append([]byte{0x12, 2, 8, 3, 0x1a, 32}, sequence(64, 32)...)) +
		`","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"RAW"}]}`
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader([]byte(text))))
	if err != nil {
		t.Fatal(err)
	}
	set, err := prf.NewPRFSet(handle)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
