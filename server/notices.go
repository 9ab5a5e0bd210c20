package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/privacy"
)

// Notices shows the notices that people are shown; [notice.Register] does.
type Notices interface {
	Notice(ctx context.Context, version string) (notice.Notice, error)
}

// showNotice hands out a version with its texts. It is about nobody, and what every visitor
// is shown anyway.
func showNotice(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if c.server.services.Notices == nil {
		return refuse(unavailable)
	}
	n, err := c.server.services.Notices.Notice(ctx, c.request.PathValue("version"))
	if errors.Is(err, privacy.ErrNotFound) {
		return refuse(notFound)
	}
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, shownNotice(n))
}

type shownNotice notice.Notice

func (s shownNotice) appendJSON(b []byte) ([]byte, error) {
	n := notice.Notice(s)
	digest := n.Digest()
	b = append(b, '{')
	b = appendString(appendKey(b, "version"), n.Version)
	b = appendString(appendKey(b, "family"), n.Family)
	b = strconv.AppendBool(appendKey(b, "material"), n.Material)
	b = appendStrings(appendKey(b, "purposes"), n.Purposes)
	b = appendString(appendKey(b, "effective_from"), n.EffectiveFrom.UTC().Format(time.RFC3339Nano))
	b = appendString(appendKey(b, "published_at"), n.PublishedAt.UTC().Format(time.RFC3339Nano))
	b = appendString(appendKey(b, "sha256"), hex.EncodeToString(digest[:]))
	b = append(appendKey(b, "texts"), '[')
	for i := range n.Texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "language"), n.Texts[i].Language)
		b = appendString(appendKey(b, "sha256"), hex.EncodeToString(n.Texts[i].Digest[:]))
		b = appendString(appendKey(b, "body"), n.Texts[i].Body)
		b = append(b, '}')
	}
	return append(b, ']', '}'), nil
}
