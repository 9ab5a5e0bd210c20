package match

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/mahrem/mahrem/privacy"
)

// Assign gives everybody on the lists a match id: equal tags have equal ids, and the ids are
// the numbers from 1 on in an order drawn from random, which must be cryptographically secure.
// It returns the ids of each list in the list's order. People whom only one list has get an
// id as well, so that an id says nothing.
//
// A tag that is on one list twice makes it fail with an error that wraps
// [privacy.ErrInvalid] and names the list by its place alone.
func Assign(random io.Reader, lists ...[]Tag) ([][]int64, error) {
	total := 0
	for _, list := range lists {
		total += len(list)
	}
	if total > math.MaxInt32 {
		return nil, fmt.Errorf("assigning match ids: %d people are more than fit into one match: %w", total, privacy.ErrInvalid)
	}
	// Tags are keyed hashes, so their last byte deals them evenly into parts, each of which
	// fits into a processor's cache.
	var people [parts][]place
	for i := range people {
		people[i] = make([]place, 0, total/parts+total/parts/8+16)
	}
	ids := make([][]int64, len(lists))
	for i, list := range lists {
		ids[i] = make([]int64, len(list))
		for j := range list {
			part := list[j][Size-1] % parts
			people[part] = append(people[part], place{int32(i), int32(j)})
		}
	}
	// counts is how many different people there are in the parts before each.
	var counts [parts + 1]int
	err := eachOf(context.Background(), parts, 1, func(part, _ int) error {
		n, err := number(lists, ids, people[part])
		counts[part+1] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("assigning match ids: %w", err)
	}
	for part := range parts {
		counts[part+1] += counts[part]
	}
	permuted, err := Permutation(random, counts[parts])
	if err != nil {
		return nil, err
	}
	for part, before := range counts[:parts] {
		for _, p := range people[part] {
			id := &ids[p.list][p.at]
			*id = int64(permuted[before+int(*id)]) + 1
		}
	}
	return ids, nil
}

// parts is a number by which 256 can be divided.
const parts = 64

// place is where a tag stands.
type place struct{ list, at int32 }

// number counts the different tags at the places from 0 on, and returns how many there are.
func number(lists [][]Tag, ids [][]int64, places []place) (int, error) {
	type seen struct{ person, list int32 }
	people := make(map[Tag]seen, len(places))
	for _, p := range places {
		tag := lists[p.list][p.at]
		person, known := people[tag]
		switch {
		case !known:
			person = seen{int32(len(people)), p.list}
			people[tag] = person
		case person.list == p.list:
			return 0, fmt.Errorf("list %d has somebody twice: %w", p.list+1, privacy.ErrInvalid)
		default:
			people[tag] = seen{person.person, p.list}
		}
		ids[p.list][p.at] = int64(person.person)
	}
	return len(people), nil
}

// Permutation returns the numbers from 0 to n-1 in an order drawn from random, every order as
// likely as any other if random's bytes are.
func Permutation(random io.Reader, n int) ([]int32, error) {
	if n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("drawing an order of %d: %w", n, privacy.ErrInvalid)
	}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	err := Shuffle(random, n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	if err != nil {
		return nil, err
	}
	return order, nil
}

// Shuffle brings n things into an order drawn from random, by swapping (Fisher and Yates).
func Shuffle(random io.Reader, n int, swap func(i, j int)) error {
	buffered := bufio.NewReaderSize(random, 4096)
	for i := n - 1; i > 0; i-- {
		j, err := below(buffered, uint64(i)+1)
		if err != nil {
			return err
		}
		swap(i, int(j))
	}
	return nil
}

// below draws a number from 0 to n-1. Of the 2^64 numbers, the topmost ones that would make
// some remainders likelier are thrown away.
func below(random io.Reader, n uint64) (uint64, error) {
	var drawn [8]byte
	for {
		if _, err := io.ReadFull(random, drawn[:]); err != nil {
			return 0, fmt.Errorf("drawing an order: %w", err)
		}
		v := binary.LittleEndian.Uint64(drawn[:])
		if v < math.MaxUint64-math.MaxUint64%n {
			return v % n, nil
		}
	}
}
