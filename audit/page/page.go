// Package page holds the verifier for people: one static page that checks proofs and
// checkpoints in a browser, from files, with WebCrypto. It loads nothing and sends
// nothing, its policy forbids every connection, and it works from the disk. The bytes are
// the same for everybody, so that they can be compared.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"

	"github.com/mahrem/mahrem/audit/wording"
)

//go:embed verify.html
var skeleton []byte

//go:embed verify.css
var style []byte

//go:embed texts.json
var texts []byte

//go:embed core.js
var coreJS []byte

//go:embed policy.js
var policyJS []byte

//go:embed entry.js
var entryJS []byte

//go:embed check.js
var checkJS []byte

//go:embed view.js
var viewJS []byte

// Verifier returns the page.
func Verifier() []byte {
	script := bytes.Join([][]byte{
		[]byte("\n\"use strict\";\nconst titles = "), bytes.TrimSpace(wording.JSON()),
		[]byte(";\nconst texts = "), bytes.TrimSpace(texts), []byte(";\n\n"),
		coreJS, []byte("\n"), policyJS, []byte("\n"), entryJS, []byte("\n"), checkJS, []byte("\n"), viewJS,
	}, nil)
	page := skeleton
	for _, part := range []struct {
		mark string
		with []byte
	}{
		{"{{script hash}}", sourceHash(script)},
		{"{{style hash}}", sourceHash(style)},
		{"{{style}}", style},
		{"{{script}}", script},
	} {
		page = bytes.Replace(page, []byte(part.mark), part.with, 1)
	}
	return page
}

// sourceHash names a text between tags for a Content-Security-Policy: nothing else runs.
func sourceHash(text []byte) []byte {
	sum := sha256.Sum256(text)
	return []byte("sha256-" + base64.StdEncoding.EncodeToString(sum[:]))
}
