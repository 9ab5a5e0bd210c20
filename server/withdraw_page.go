package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/privacy"
)

// The page behind a link is for people, so whatever happens is said in words of theirs: no
// problem documents, no script, nothing from elsewhere.

// pathWithdraw is where links lead to; package link makes them.
const pathWithdraw = link.Path + "{token}"

// withdrawWords are the texts of one language.
type withdrawWords struct {
	Title, Purposes, EveryPurpose, Channels, EveryChannel, Button, Free string
	Done, DoneMore, Reference, Gone, GoneMore, Ended, EndedMore         string
	Later, LaterMore, NotAsked, NotAskedMore                            string
}

var withdrawTexts = map[string]withdrawWords{
	"en": {
		Title: "Withdraw your consent", Purposes: "For", EveryPurpose: "everything you agreed to", Channels: "By", EveryChannel: "every way of reaching you",
		Button: "Withdraw", Free: "It costs nothing, needs no account and no reason, and counts at once.",
		Done: "Done", DoneMore: "Your consent is withdrawn. You need not do anything else.", Reference: "Reference",
		Gone: "This link leads nowhere", GoneMore: "Perhaps a part of it was lost. Please open it again from the message that it came with.",
		Ended: "This link has ended", EndedMore: "Please use the link in a newer message, or write to whoever sent it to you. Withdrawing stays possible at any time.",
		Later: "That did not work yet", LaterMore: "Nothing was changed. Please try again in a moment.",
		NotAsked: "Nothing was changed", NotAskedMore: "Please open the link again and press the button.",
	},
	"tr": {
		Title: "Rızanızı geri alın", Purposes: "Amaç", EveryPurpose: "rıza verdiğiniz her şey", Channels: "Kanal", EveryChannel: "size ulaşmanın her yolu",
		Button: "Geri al", Free: "Ücretsizdir; hesap açmanız ya da neden belirtmeniz gerekmez ve hemen geçerli olur.",
		Done: "Tamam", DoneMore: "Rızanız geri alındı. Başka bir şey yapmanız gerekmiyor.", Reference: "Referans",
		Gone: "Bu bağlantı bir yere çıkmıyor", GoneMore: "Bir bölümü kaybolmuş olabilir. Lütfen geldiği iletiden yeniden açın.",
		Ended: "Bu bağlantının süresi doldu", EndedMore: "Lütfen daha yeni bir iletideki bağlantıyı kullanın ya da gönderene yazın. Rızanızı her zaman geri alabilirsiniz.",
		Later: "Şimdilik olmadı", LaterMore: "Hiçbir şey değişmedi. Lütfen biraz sonra yeniden deneyin.",
		NotAsked: "Hiçbir şey değişmedi", NotAskedMore: "Lütfen bağlantıyı yeniden açıp düğmeye basın.",
	},
	"cs": {
		Title: "Odvolání souhlasu", Purposes: "Účel", EveryPurpose: "vše, s čím jste souhlasili", Channels: "Způsob", EveryChannel: "všechny způsoby oslovení",
		Button: "Odvolat", Free: "Je to zdarma, bez účtu a bez udání důvodu, a platí to ihned.",
		Done: "Hotovo", DoneMore: "Váš souhlas je odvolán. Nemusíte dělat nic dalšího.", Reference: "Značka",
		Gone: "Tento odkaz nikam nevede", GoneMore: "Možná se jeho část ztratila. Otevřete jej prosím znovu ze zprávy, ve které přišel.",
		Ended: "Platnost odkazu skončila", EndedMore: "Použijte prosím odkaz v novější zprávě nebo napište odesílateli. Souhlas lze odvolat kdykoli.",
		Later: "Zatím se to nepodařilo", LaterMore: "Nic se nezměnilo. Zkuste to prosím za chvíli znovu.",
		NotAsked: "Nic se nezměnilo", NotAskedMore: "Otevřete prosím odkaz znovu a stiskněte tlačítko.",
	},
}

const withdrawStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}` +
	`h1{font-size:1.5rem}dt{font-weight:600}dd{margin:0 0 .8rem}` +
	`button{font:inherit;padding:.7rem 1.6rem;border:2px solid #14532d;border-radius:.3rem;background:#14532d;color:#fff;cursor:pointer}` +
	`button:focus-visible{outline:3px solid #f59e0b}`

var withdrawTemplate = template.Must(template.New("withdraw").Parse(`<!DOCTYPE html>
<html lang="{{.Language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Heading}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Heading}}</h1>
{{- if .Offer}}
<dl>
<dt>{{.Words.Purposes}}</dt>
{{- range .Offer.Purposes}}
<dd>{{.}}</dd>
{{- else}}
<dd>{{$.Words.EveryPurpose}}</dd>
{{- end}}
<dt>{{.Words.Channels}}</dt>
{{- range .Offer.Channels}}
<dd>{{.}}</dd>
{{- else}}
<dd>{{$.Words.EveryChannel}}</dd>
{{- end}}
</dl>
{{- end}}
<p>{{.Text}}</p>
{{- if .Ask}}
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">{{.Words.Button}}</button>
</form>
{{- end}}
{{- if .Reference}}
<p>{{.Words.Reference}}: {{.Reference}}</p>
{{- end}}
</main>
</body>
</html>
`))

type withdrawPage struct {
	Language, Heading, Text, Reference string
	Words                              withdrawWords
	Offer                              *link.Offer
	Ask                                bool
	Style                              template.CSS
}

var (
	headerHTML         = []string{"text/html; charset=utf-8"}
	headerNoIndex      = []string{"noindex"}
	headerWithdrawPage = []string{withdrawPolicy()}
)

// withdrawPolicy lets in the one style and the one form, and nothing else.
func withdrawPolicy() string {
	sum := sha256.Sum256([]byte(withdrawStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// showWithdrawal shows what a link does. It changes nothing: mail programs and scanners open
// links of their own accord.
func showWithdrawal(_ context.Context, c *call) error {
	links := c.server.services.Links
	if links == nil {
		return c.writePage(http.StatusServiceUnavailable, c.language(""), withdrawWords.later)
	}
	if c.request.URL.RawQuery != "" {
		return c.writePage(http.StatusNotFound, c.language(""), withdrawWords.gone)
	}
	offer, err := links.Show(c.request.PathValue("token"))
	if err != nil {
		return c.withdrawFailed(offer.Language, err)
	}
	return c.writePage(http.StatusOK, offer.Language, func(w withdrawWords) withdrawPage {
		return withdrawPage{Heading: w.Title, Text: w.Free, Offer: &offer, Ask: true}
	})
}

// useWithdrawal withdraws: the button of the page, or a mail program that was told to
// (RFC 8058), both say the same.
func useWithdrawal(ctx context.Context, c *call) error {
	links := c.server.services.Links
	if links == nil {
		return c.writePage(http.StatusServiceUnavailable, c.language(""), withdrawWords.later)
	}
	if c.request.URL.RawQuery != "" {
		return c.writePage(http.StatusNotFound, c.language(""), withdrawWords.gone)
	}
	if !c.saysOneClick() {
		return c.writePage(http.StatusBadRequest, c.language(""), withdrawWords.notAsked)
	}
	offer, receipt, err := links.Use(ctx, c.request.PathValue("token"))
	if err != nil {
		return c.withdrawFailed(offer.Language, err)
	}
	return c.writePage(http.StatusOK, offer.Language, func(w withdrawWords) withdrawPage {
		page := withdrawPage{Heading: w.Done, Text: w.DoneMore, Offer: &offer}
		if !receipt.IsZero() {
			page.Reference = receipt.Token.String()
			c.writer.Header()[headerLog] = logHeader(receipt.Receipt)
		}
		return page
	})
}

func (w withdrawWords) later() withdrawPage { return withdrawPage{Heading: w.Later, Text: w.LaterMore} }

func (w withdrawWords) gone() withdrawPage { return withdrawPage{Heading: w.Gone, Text: w.GoneMore} }

func (w withdrawWords) ended() withdrawPage { return withdrawPage{Heading: w.Ended, Text: w.EndedMore} }

func (w withdrawWords) notAsked() withdrawPage {
	return withdrawPage{Heading: w.NotAsked, Text: w.NotAskedMore}
}

// withdrawFailed says what somebody at the page can do about it. What is ours to repair is
// in the operator's log.
func (c *call) withdrawFailed(language string, err error) error {
	switch {
	case errors.Is(err, link.ErrEnded):
		return c.writePage(http.StatusGone, c.language(language), withdrawWords.ended)
	case errors.Is(err, privacy.ErrNotFound):
		return c.writePage(http.StatusNotFound, c.language(language), withdrawWords.gone)
	}
	if c.request.Context().Err() == nil {
		c.server.config.Log.Error("a consent was not withdrawn", "request", c.requestID, "error", err.Error())
	}
	c.writer.Header()["Retry-After"] = []string{"1"}
	return c.writePage(http.StatusServiceUnavailable, c.language(language), withdrawWords.later)
}

// maxOneClick bounds the body of a click.
const maxOneClick = 4 << 10

// saysOneClick reports whether the body is the one of RFC 8058, in either of its forms.
func (c *call) saysOneClick() bool {
	media, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil || c.request.Header.Get("Content-Encoding") != "" {
		return false
	}
	c.request.Body = http.MaxBytesReader(c.writer, c.request.Body, maxOneClick)
	switch media {
	case "application/x-www-form-urlencoded":
		err = c.request.ParseForm()
	case "multipart/form-data":
		err = c.request.ParseMultipartForm(maxOneClick)
	default:
		return false
	}
	return err == nil && slices.Equal(c.request.PostForm[oneClickField], []string{oneClickValue})
}

// language is that of the link, or of whoever looks.
func (c *call) language(of string) string {
	if _, known := withdrawTexts[of]; known {
		return of
	}
	for wanted := range strings.SplitSeq(c.request.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(wanted), ";")
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		if _, known := withdrawTexts[tag]; known {
			return tag
		}
	}
	return "en"
}

func (c *call) writePage(status int, language string, make func(withdrawWords) withdrawPage) error {
	language = c.language(language)
	page := make(withdrawTexts[language])
	page.Language, page.Words, page.Style = language, withdrawTexts[language], withdrawStyle
	var body bytes.Buffer
	if err := withdrawTemplate.Execute(&body, page); err != nil {
		return err
	}
	header := c.writer.Header()
	header["Content-Security-Policy"] = headerWithdrawPage
	header["X-Robots-Tag"] = headerNoIndex
	header["Content-Language"] = []string{language}
	c.write(status, headerHTML, body.Bytes())
	return nil
}
