package demo

import "strings"

// ascii writes a name in the letters of an e-mail address.
func ascii(name string) string {
	return strings.ToLower(latin.Replace(name))
}

var latin = strings.NewReplacer(
	"ç", "c", "ğ", "g", "ı", "i", "ö", "o", "ş", "s", "ü", "u",
	"Ç", "C", "Ğ", "G", "İ", "I", "Ö", "O", "Ş", "S", "Ü", "U",
	"á", "a", "č", "c", "ď", "d", "é", "e", "ě", "e", "í", "i", "ň", "n", "ó", "o",
	"ř", "r", "š", "s", "ť", "t", "ú", "u", "ů", "u", "ý", "y", "ž", "z",
	"Á", "A", "Č", "C", "Ď", "D", "É", "E", "Í", "I", "Ň", "N", "Ř", "R", "Š", "S",
	"Ť", "T", "Ú", "U", "Ý", "Y", "Ž", "Z",
)
