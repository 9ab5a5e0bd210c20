package anchor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// words are the texts of a print-out in one language.
type words struct{ title, log, entries, root, at, checksum, what, note string }

var languages = map[string]words{
	"en": {
		"Checkpoint of an audit log", "Log", "Entries", "Root hash", "Printed at", "SHA-256 of the note",
		"This page fixes what the log above contained. Whoever keeps it, dated and signed by a notary or by\n" +
			"hand, can later find out whether any of those entries was changed or removed: the note below goes\n" +
			"into a file, and mahrem audit verify --checkpoint FILE compares the log with it. The page names nobody\n" +
			"and says nothing about later entries.",
		"The note, to be typed with its empty line; its SHA-256 shows whether it was typed right",
	},
	"tr": {
		"Denetim kaydının denetim noktası", "Kayıt", "Girdi sayısı", "Kök özeti", "Basım zamanı", "Notun SHA-256 özeti",
		"Bu sayfa, yukarıdaki kaydın içeriğini sabitler. Sayfayı noterce veya elle tarihlenip imzalanmış olarak\n" +
			"saklayan kişi, bu girdilerden birinin sonradan değiştirilip değiştirilmediğini veya silinip silinmediğini\n" +
			"anlayabilir: aşağıdaki not bir dosyaya yazılır ve mahrem audit verify --checkpoint DOSYA kaydı onunla\n" +
			"karşılaştırır. Sayfa kimsenin adını vermez ve sonraki girdiler hakkında bir şey söylemez.",
		"Not, boş satırıyla birlikte yazılmalıdır; doğru yazıldığını SHA-256 özeti gösterir",
	},
	"cs": {
		"Kontrolní bod auditního záznamu", "Záznam", "Počet položek", "Kořenový otisk", "Vytištěno", "SHA-256 poznámky",
		"Tato stránka zachycuje, co výše uvedený záznam obsahoval. Kdo ji uchová, datovanou a podepsanou notářem\n" +
			"nebo vlastní rukou, může později zjistit, zda byla některá z těchto položek změněna nebo odstraněna:\n" +
			"poznámka níže se uloží do souboru a mahrem audit verify --checkpoint SOUBOR s ní záznam porovná. Stránka\n" +
			"nikoho nejmenuje a o pozdějších položkách nic neříká.",
		"Poznámka, opisuje se i s prázdným řádkem; zda je opsána správně, ukáže její SHA-256",
	},
}

// Languages are those in which an anchor can be printed.
func Languages() []string { return []string{"en", "tr", "cs"} }

// Print returns a page that a notary can read and sign. The checkpoint is that of the
// note. The error wraps [privacy.ErrInvalid] for a language that is none of [Languages].
func (a Anchor) Print(language string, c audit.Checkpoint) (string, error) {
	w, known := languages[language]
	if !known {
		return "", fmt.Errorf("printing anchor: no such language: %w", privacy.ErrInvalid)
	}
	var b strings.Builder
	sum := sha256.Sum256(a.Note)
	fmt.Fprintf(&b, "%s\n%s\n\n", w.title, strings.Repeat("=", len([]rune(w.title))))
	for _, row := range [][2]string{
		{w.log, c.Origin},
		{w.entries, fmt.Sprint(c.Size)},
		{w.root, grouped(c.Root[:])},
		{w.at, a.At.UTC().Format("2006-01-02 15:04:05 UTC")},
		{w.checksum, grouped(sum[:])},
	} {
		fmt.Fprintf(&b, "%s:\n    %s\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\n%s\n\n%s:\n\n%s", w.what, w.note, a.Note)
	return b.String(), nil
}

// grouped writes bytes so that a person can compare them: four digits at a time, two lines.
func grouped(sum []byte) string {
	var groups []string
	text := hex.EncodeToString(sum)
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	half := len(groups) / 2
	return strings.Join(groups[:half], " ") + "\n    " + strings.Join(groups[half:], " ")
}
