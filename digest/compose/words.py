"""The few words of our own that stand in an email, by the language of the issue."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = ("contents", "sponsor", "by", "view", "leave", "watch", "reply", "why")
_WORDS = {
    "en": "In this edition|Sponsor|By|View in browser|Unsubscribe|Watch|Reply|You get this because you subscribed.",
    "ar": "في هذا العدد|إعلان|بقلم|عرض في المتصفح|إلغاء الاشتراك|شاهد|للرد|تصلك هذه الرسالة لأنك مشترك.",
    "cs": "V tomto vydání|Reklama|Autor:|Zobrazit v prohlížeči|Odhlásit odběr|Přehrát|Odpovědět|"
    "Dostáváte to, protože odebíráte náš zpravodaj.",
    "da": "I dette nummer|Annonce|Af|Vis i browser|Afmeld|Se|Svar|Du modtager dette, fordi du abonnerer.",
    "de": "In dieser Ausgabe|Anzeige|Von|Im Browser lesen|Abmelden|Ansehen|Antworten|"
    "Sie erhalten dies, weil Sie es abonniert haben.",
    "es": "En esta edición|Publicidad|Por|Ver en el navegador|Darse de baja|Ver|Responder|"
    "Recibe este mensaje porque está suscrito.",
    "fi": "Tässä numerossa|Mainos|Kirjoittanut|Lue selaimessa|Peru tilaus|Katso|Vastaa|Saat tämän, koska olet tilaaja.",
    "fr": "Dans ce numéro|Publicité|Par|Lire en ligne|Se désabonner|Regarder|Répondre|"
    "Vous recevez ce message car vous êtes abonné.",
    "he": "בגיליון הזה|חסות|מאת|לצפייה בדפדפן|הסרה מרשימת התפוצה|לצפייה|להשיב|קיבלת הודעה זו כי נרשמת אליה.",
    "it": "In questo numero|Pubblicità|Di|Leggi nel browser|Annulla l’iscrizione|Guarda|Rispondi|"
    "Ricevi questo messaggio perché sei iscritto.",
    "ja": "今号の内容|広告|文：|ブラウザで表示|配信停止|見る|返信|ご登録いただいた方にお送りしています。",
    "nb": "I denne utgaven|Annonse|Av|Vis i nettleseren|Meld deg av|Se|Svar|Du får dette fordi du abonnerer.",
    "nl": "In deze editie|Advertentie|Door|Bekijk in browser|Uitschrijven|Bekijken|Antwoorden|"
    "Je ontvangt dit omdat je je hebt ingeschreven.",
    "pl": "W tym wydaniu|Reklama|Tekst:|Zobacz w przeglądarce|Wypisz się|Obejrzyj|Odpowiedz|"
    "Otrzymujesz tę wiadomość, ponieważ ją subskrybujesz.",
    "pt": "Nesta edição|Publicidade|Por|Ver no navegador|Cancelar inscrição|Assistir|Responder|"
    "Você recebe esta mensagem porque se inscreveu.",
    "sv": "I det här numret|Annons|Av|Visa i webbläsaren|Avsluta prenumerationen|Se filmen|Svara|"
    "Du får det här för att du prenumererar.",
    "tr": "Bu sayıda|Reklam|Yazan:|Tarayıcıda görüntüle|Abonelikten çık|İzle|Yanıtla|"
    "Bunu abone olduğunuz için alıyorsunuz.",
    "zh": "本期内容|广告|作者：|在浏览器中查看|退订|观看|回复|您收到此邮件是因为您已订阅。",
}


def words_in(language: str) -> Mapping[str, str]:
    """The words by their names, in a language tag's language; in English for one that is not here.

    >>> words_in("de-CH")["leave"], words_in("tlh")["leave"]
    ('Abmelden', 'Unsubscribe')
    """
    written = _WORDS.get(language.split("-", maxsplit=1)[0].lower(), _WORDS["en"])
    return dict(zip(_NAMES, written.split("|"), strict=True))
