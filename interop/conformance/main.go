// Command interop checks a log and proofs of it with implementations of others: it shares
// no code with Mahrem. scripts/interop runs it against a server; docs/spec/interop.md says how
// to run it against yours.
//
//	interop proof KEYFILE PROOF      transparency-dev/merkle and formats check a proof file
//	interop tiles KEYFILE URL        golang.org/x/mod/sumdb/tlog reads each leaf hash
//	interop witness KEYFILE URL OLD WITNESS  a C2SP tlog-witness, which cosigned OLD entries, cosigns all
//	interop post TOKEN URL           sends what it reads, NDJSON, and prints the answer
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 || (args[0] == "witness") != (len(args) == 5) {
		return errors.New("usage: interop proof KEYFILE PROOF | interop tiles KEYFILE URL | interop witness KEYFILE URL OLD WITNESS | interop post TOKEN URL")
	}
	if args[0] == "post" {
		return post(args[1], args[2])
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	switch args[0] {
	case "witness":
		old, err := strconv.ParseInt(args[3], 10, 64)
		if err != nil {
			return err
		}
		return cosign(verifier, strings.TrimSuffix(args[2], "/"), old, strings.TrimSuffix(args[4], "/"))
	case "proof":
		file, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		return checkProof(verifier, file)
	case "tiles":
		return readTiles(verifier, strings.TrimSuffix(args[2], "/"))
	}
	return errors.New("proof, tiles, witness or post")
}

func checkpointOf(verifier note.Verifier, signed []byte) (*log.Checkpoint, error) {
	checkpoint, _, _, err := log.ParseCheckpoint(signed, verifier.Name(), verifier)
	return checkpoint, err
}

// checkProof reads a C2SP tlog-proof whose extra data is the leaf.
func checkProof(verifier note.Verifier, file []byte) error {
	head, signed, _ := bytes.Cut(file, []byte("\n\n"))
	checkpoint, err := checkpointOf(verifier, signed)
	if err != nil {
		return err
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a proof")
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseUint(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path [][]byte
	for _, line := range lines[3:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	hasher := rfc6962.DefaultHasher
	if err := proof.VerifyInclusion(hasher, index, checkpoint.Size, hasher.HashLeaf(leaf), path, checkpoint.Hash); err != nil {
		return err
	}
	fmt.Printf("transparency-dev/merkle, formats: entry %d is in %s of %d entries\n", index, checkpoint.Origin, checkpoint.Size)
	return nil
}

// readTiles reads every leaf hash. The reader authenticates each tile by the root.
func readTiles(verifier note.Verifier, url string) error {
	signed, err := get(url + "/checkpoint")
	if err != nil {
		return err
	}
	checkpoint, err := checkpointOf(verifier, signed)
	if err != nil {
		return err
	}
	tree := tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)}
	hashes := tlog.TileHashReader(tree, tiles{url})
	for n := int64(0); n < tree.N; n += 256 {
		var indexes []int64
		for i := n; i < min(n+256, tree.N); i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, i))
		}
		if _, err := hashes.ReadHashes(indexes); err != nil {
			return err
		}
	}
	fmt.Printf("golang.org/x/mod/sumdb/tlog: %d leaf hashes of %s fit the checkpoint\n", tree.N, checkpoint.Origin)
	return nil
}

// cosign has a witness cosign the newest checkpoint, with the proof that the tree of old
// entries is its beginning.
func cosign(verifier note.Verifier, url string, old int64, witness string) error {
	signed, err := get(url + "/checkpoint")
	if err != nil {
		return err
	}
	checkpoint, err := checkpointOf(verifier, signed)
	if err != nil {
		return err
	}
	body := fmt.Sprintf("old %d\n", old)
	if size := int64(checkpoint.Size); old > 0 && old < size {
		hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: tlog.Hash(checkpoint.Hash)}, tiles{url})
		path, err := tlog.ProveTree(size, old, hashes)
		if err != nil {
			return err
		}
		for _, hash := range path {
			body += hash.String() + "\n"
		}
	}
	response, err := http.Post(witness+"/add-checkpoint", "text/plain", strings.NewReader(body+"\n"+string(signed)))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("witness: %s: %s", response.Status, answer)
	}
	if err == nil {
		fmt.Printf("witness: %d entries from %d on: %s", checkpoint.Size, old, answer)
	}
	return err
}

type tiles struct{ url string }

func (t tiles) Height() int                         { return 8 }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		// Theirs begins with the height of tiles, which C2SP has fixed.
		content, err := get(t.url + "/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		out = append(out, content)
	}
	return out, nil
}

func get(url string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

func post(token, url string) error {
	request, err := http.NewRequest(http.MethodPost, url, os.Stdin)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
