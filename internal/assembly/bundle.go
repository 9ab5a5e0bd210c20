package assembly

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/page"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// ExportLog writes everything that is signed for into a bundle for auditors, or extends the one
// that is there, after the log holds that it was exported. Without facts, decisions can be
// followed but not made again.
func (h *House) ExportLog(ctx context.Context, by privacy.Principal, dir string, withFacts bool, progress func(done, total uint64)) (bundle.Manifest, audit.Receipt, error) {
	if by.Role != privacy.RoleDPO && by.Role != privacy.RoleAuditor {
		return bundle.Manifest{}, audit.Receipt{}, fmt.Errorf("exporting log: %w", privacy.ErrForbidden)
	}
	var receipt audit.Receipt
	config, err := h.bundleConfig(withFacts)
	if err != nil {
		return bundle.Manifest{}, receipt, err
	}
	if config.Begin, err = h.exportBegin(ctx, dir); err != nil {
		return bundle.Manifest{}, receipt, err
	}
	config.Progress = progress
	config.Commit = func(ctx context.Context, manifest []byte) (err error) {
		receipt, err = h.Log.Append(ctx, audit.Event{Kind: audit.LogExported, Outcome: audit.Done, Principal: by, List: sha256.Sum256(manifest), Count: 1})
		return err
	}
	manifest, err := bundle.Export(ctx, dir, postgres.NewBundleSource(h.Log), config)
	return manifest, receipt, err
}

// bundleConfig is what bundles of this house have in common.
func (h *House) bundleConfig(withFacts bool) (config bundle.ExportConfig, err error) {
	name := bundle.SignerName(h.Settings.Origin)
	if config.LogKey, err = audit.FormatKey(h.Settings.Origin, h.signing.current); err != nil {
		return config, err
	}
	if config.Verifier, err = audit.NewVerifier(h.Settings.Origin, h.signing.current); err != nil {
		return config, err
	}
	for _, key := range h.signing.former {
		former, err := audit.NewVerifier(h.Settings.Origin, key)
		if err != nil {
			return config, err
		}
		config.Former = append(config.Former, former)
		text, err := audit.FormatKey(h.Settings.Origin, key)
		if err != nil {
			return config, err
		}
		config.LogKey += "\n" + text // behind the one that signs now
	}
	if config.ManifestKey, err = audit.FormatKey(name, h.Keys.LogPublicKey()); err != nil {
		return config, err
	}
	if config.Signer, err = audit.NewSigner(name, h.Keys.LogPublicKey(), h.Keys.SignLog); err != nil {
		return config, err
	}
	config.Files = map[string][]byte{bundle.PagePath: page.Verifier()}
	if h.signing.witnesses != nil {
		config.Files[bundle.WitnessesPath] = []byte(h.signing.witnesses.Text())
	}
	config.Policies = h.Archive.Bundle
	if withFacts {
		config.Facts = h.madeOf
	}
	return config, nil
}

// madeOf opens what was kept of decisions.
func (h *House) madeOf(ctx context.Context, pairs []bundle.Pair) (map[bundle.Pair][]byte, error) {
	wanted := make([]archive.Pair, len(pairs))
	for i, pair := range pairs {
		wanted[i] = archive.Pair(pair)
	}
	list, err := h.Archive.Made(ctx, wanted)
	if err != nil {
		return nil, err
	}
	made := make(map[bundle.Pair][]byte, len(list))
	for i := range list {
		made[bundle.Pair(list[i].Pair)] = list[i].Append(nil)
	}
	return made, nil
}

// NewBundleReplayer returns a replayer over what lies in a bundle. It needs no house.
func NewBundleReplayer(files bundle.Files, patience config.Patience) *archive.Replayer {
	return archive.NewReplayer(archive.ReplayerConfig{
		Compile: compileKept(patience),
		Policy: func(ctx context.Context, policy audit.Digest) ([]byte, error) {
			return files.Read(ctx, bundle.PolicyPath(policy), maxPolicyFile)
		},
		Made: func(ctx context.Context, pair archive.Pair) (archive.Made, error) {
			content, err := files.Read(ctx, bundle.FactsPath(bundle.Pair(pair)), maxFactsFile)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return archive.Made{}, fmt.Errorf("reading facts: %w", err)
			}
			if err != nil {
				return archive.Made{}, err
			}
			return archive.ParseMade(pair, content)
		},
	})
}

// How long such files may be: an archive of policies, and facts with a plan.
const (
	maxPolicyFile = 8 << 20
	maxFactsFile  = 1 << 20
)
