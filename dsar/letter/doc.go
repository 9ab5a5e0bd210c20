// Package letter writes what a controller tells a data subject about a request: that it
// came, that it takes longer, that it was granted, that it was denied (GDPR Article
// 12(3)-(4), KVKK Article 13(3)).
//
// A letter names nobody. The reference stands for the request, and who sends the letter
// knows where to. So it can be written, kept and shown without opening what the person
// wrote. Every refusal has its reason, the article, and where to complain.
//
// The text is plain. [HTML] makes a page of it in which nothing of the text is markup.
package letter
