package match

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// MaxBatch is how many blinded elements one evaluation takes at most.
const MaxBatch = 4096

// suite is the one of RFC 9497 that is used.
var suite = oprf.SuiteRistretto255

// Evaluation is what the house answers: an element for each blinded one, in their order, and
// the proof that all were evaluated under the key that the parties know (RFC 9497 section
// 3.3.3). Elements have 32 bytes, a proof 64.
type Evaluation struct {
	Elements [][]byte
	Proof    []byte
}

// EvaluatorKey evaluates blinded elements for the parties of one room. It learns nothing of
// what is in them.
type EvaluatorKey struct {
	info   func(epoch int) []byte
	server oprf.PartialObliviousServer
	public []byte
}

// Evaluator returns the key of a room. It is derived, so that nothing has to be kept.
func (k *Keys) Evaluator(room cleanroom.RoomID) (*EvaluatorKey, error) {
	seed, err := k.compute(appendText(input(forOPRF), string(room)), 32)
	if err != nil {
		return nil, err
	}
	private, err := oprf.DeriveKey(suite, oprf.PartialObliviousMode, seed, []byte("mahrem/room"))
	if err != nil {
		return nil, fmt.Errorf("deriving key of room: %w", err)
	}
	public, err := private.Public().MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("deriving key of room: %w", err)
	}
	return &EvaluatorKey{
		info:   func(epoch int) []byte { return info(room, epoch) },
		server: oprf.NewPartialObliviousServer(suite, private), public: public,
	}, nil
}

// PublicKey returns the 32 bytes by which parties see that all of them are served with one
// key. They compare it among each other.
func (e *EvaluatorKey) PublicKey() []byte { return append([]byte(nil), e.public...) }

// Evaluate evaluates blinded elements for an epoch of the room. The error wraps
// [privacy.ErrInvalid] if there are none or more than [MaxBatch], or one of them is no
// element, or the identity.
func (e *EvaluatorKey) Evaluate(epoch int, blinded [][]byte) (Evaluation, error) {
	if len(blinded) == 0 || len(blinded) > MaxBatch {
		return Evaluation{}, fmt.Errorf("evaluating: 1 to %d elements at a time, not %d: %w", MaxBatch, len(blinded), privacy.ErrInvalid)
	}
	elements, err := decode(blinded)
	if err != nil {
		return Evaluation{}, err
	}
	evaluated, err := e.server.Evaluate(&oprf.EvaluationRequest{Elements: elements}, e.info(epoch))
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	return encode(evaluated)
}

// info binds what is masked to a room and an epoch.
func info(room cleanroom.RoomID, epoch int) []byte {
	return []byte(string(room) + "/" + strconv.Itoa(epoch))
}

func decode(encoded [][]byte) ([]group.Element, error) {
	elements := make([]group.Element, len(encoded))
	for i, b := range encoded {
		elements[i] = suite.Group().NewElement()
		if len(b) != Size || elements[i].UnmarshalBinary(b) != nil || elements[i].IsIdentity() {
			return nil, fmt.Errorf("reading element %d: it is no element of ristretto255, or the identity: %w", i, privacy.ErrInvalid)
		}
	}
	return elements, nil
}

func encode(evaluation *oprf.Evaluation) (Evaluation, error) {
	out := Evaluation{Elements: make([][]byte, len(evaluation.Elements))}
	var err error
	for i, e := range evaluation.Elements {
		if out.Elements[i], err = e.MarshalBinaryCompress(); err != nil {
			return Evaluation{}, fmt.Errorf("writing element: %w", err)
		}
	}
	if out.Proof, err = evaluation.Proof.MarshalBinary(); err != nil {
		return Evaluation{}, fmt.Errorf("writing proof: %w", err)
	}
	return out, nil
}

// Evaluate is how a party reaches the house: over the network, as a rule. It gets at most
// [MaxBatch] elements, and may be called from several goroutines at once.
type Evaluate func(ctx context.Context, epoch int, blinded [][]byte) (Evaluation, error)

type obliviously struct {
	client   oprf.PartialObliviousClient
	info     []byte
	epoch    int
	evaluate Evaluate
}

// NewOPRF returns the matcher of oprf mode for an epoch of a room: a token is the first 32
// bytes of the output of the partially oblivious function of RFC 9497. What was not
// evaluated under public, the key of the room that the parties have compared, is refused with
// an error that wraps [privacy.ErrDamaged].
func NewOPRF(public []byte, room cleanroom.RoomID, epoch int, evaluate Evaluate) (Matcher, error) {
	var key oprf.PublicKey
	if len(public) != Size || key.UnmarshalBinary(suite, public) != nil {
		return nil, fmt.Errorf("reading public key of room: %w", privacy.ErrInvalid)
	}
	return &obliviously{oprf.NewPartialObliviousClient(suite, &key), info(room, epoch), epoch, evaluate}, nil
}

// Mode is oprf.
func (*obliviously) Mode() cleanroom.Matching { return cleanroom.MatchOPRF }

// Seed digests.
func (*obliviously) Seed(person privacy.Plain) Seed { return SeedOPRF(person) }

// SeedOPRF returns the seed of a person in oprf mode, which takes no key.
func SeedOPRF(person privacy.Plain) Seed {
	return sha256.Sum256([]byte(person.RevealPersonalData()))
}

// Mask blinds, has the house evaluate, sees the proof and takes the blinds off.
func (o *obliviously) Mask(ctx context.Context, people []Seed) ([]Token, error) {
	tokens := make([]Token, len(people))
	err := eachOf(ctx, len(people), MaxBatch, func(from, to int) error {
		inputs := make([][]byte, to-from)
		for i := range inputs {
			inputs[i] = people[from+i][:]
		}
		outputs, err := o.outputs(ctx, inputs)
		if err != nil {
			return err
		}
		for i, output := range outputs {
			copy(tokens[from+i][:], output)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// outputs returns those of the function, of 64 bytes each.
func (o *obliviously) outputs(ctx context.Context, inputs [][]byte) ([][]byte, error) {
	blinds, request, err := o.client.Blind(inputs)
	if err != nil {
		return nil, fmt.Errorf("blinding: %w", err)
	}
	blinded := make([][]byte, len(request.Elements))
	for i, e := range request.Elements {
		if blinded[i], err = e.MarshalBinaryCompress(); err != nil {
			return nil, fmt.Errorf("blinding: %w", err)
		}
	}
	answer, err := o.evaluate(ctx, o.epoch, blinded)
	if err != nil {
		return nil, err
	}
	elements, err := decode(answer.Elements)
	if err != nil {
		return nil, fmt.Errorf("the house's answer: %w", err)
	}
	proof := new(dleq.Proof)
	if err := proof.UnmarshalBinary(suite.Group(), answer.Proof); err != nil {
		return nil, fmt.Errorf("the house's proof cannot be read: %w", privacy.ErrDamaged)
	}
	outputs, err := o.client.Finalize(blinds, &oprf.Evaluation{Elements: elements, Proof: proof}, o.info)
	if err != nil {
		return nil, fmt.Errorf("the house did not evaluate under the key of the room: %w", privacy.ErrDamaged)
	}
	return outputs, nil
}
