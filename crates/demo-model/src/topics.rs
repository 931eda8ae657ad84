//! Topics of user turns, recognized by keywords, and fixed replies to them.

use super::lexicon::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Injection,
    AskIfBot,
    Human,
    Anger,
    Refund,
    Account,
    Advice,
    Complaint,
    Cancel,
    Reschedule,
    Password,
    Malfunction,
    Objection,
    Price,
    Hours,
    Location,
    Book,
    Unrelated,
    Goodbye,
    Greeting,
}

/// Keywords by topic, the more serious topics first. A keyword matches all words that start
/// with it, unless it ends with a space.
const KEYWORDS: &[(Topic, &[&str])] = &[
    (
        Topic::Injection,
        &[
            "ignore your",
            "ignore all",
            "ignore previous",
            "system prompt",
            "your instructions",
            "developer mode",
        ],
    ),
    (
        Topic::AskIfBot,
        &[
            "are you a robot",
            "are you human",
            "are you a bot",
            "are you real",
            "am i talking to",
            "am i speaking to",
        ],
    ),
    (
        Topic::Human,
        &[
            "human",
            "real person",
            "manager",
            "supervisor",
            "speak to someone",
            "talk to someone",
            "colleague",
            "transfer me",
            "put me through",
        ],
    ),
    (
        Topic::Anger,
        &[
            "ridiculous",
            "unacceptable",
            "furious",
            "third time",
            "worst",
            "useless",
            "lawyer",
            "incompetent",
            "fed up",
            "sick of",
        ],
    ),
    (Topic::Refund, &["refund", "money back", "reimburse"]),
    (
        Topic::Account,
        &[
            "my account",
            "her account",
            "his account",
            "account number",
            "the account",
            "balance",
            "medical record",
            "test result",
            "personal data",
            "on file",
            "husband",
            "wife",
        ],
    ),
    (
        Topic::Advice,
        &[
            "dose",
            "dosage",
            "medication",
            "antibiotic",
            "painkiller",
            "chest pain",
            "diagnos",
            "legal advice",
            "should i take",
        ],
    ),
    (
        Topic::Complaint,
        &["complain", "unhappy", "disappointed", "not satisfied", "let down", "annoy"],
    ),
    (Topic::Cancel, &["cancel"]),
    (Topic::Reschedule, &["reschedule", "move my", "another day", "postpone", "different time"]),
    (Topic::Password, &["password", "log in", "login", "locked out"]),
    (
        Topic::Malfunction,
        &[
            "not working",
            "does not work",
            "doesn't work",
            "doesn t work",
            "broken",
            "error",
            "crash",
            "no internet",
            "stopped working",
            "still nothing",
            "did not help",
        ],
    ),
    (
        Topic::Objection,
        &[
            "expensive",
            "not interested",
            "think about it",
            "cheaper",
            "competitor",
            "no time",
            "why should i",
            "not sure i need",
        ],
    ),
    (Topic::Price, &["price", "cost", "how much", "fee ", "charge"]),
    (Topic::Hours, &["open", "hours", "close ", "when are you"]),
    (
        Topic::Location,
        &["where are you", "address", "parking", "directions", "find you", "located"],
    ),
    (
        Topic::Book,
        &[
            "appointment",
            "book",
            "schedule",
            "reserv",
            "table for",
            "slot",
            "see the doctor",
            "come in",
        ],
    ),
    (
        Topic::Unrelated,
        &["weather", "football", "joke", "poem", "election", "recipe", "stock market"],
    ),
    (
        Topic::Goodbye,
        &["bye", "goodbye", "that is all", "that s all", "nothing else", "thank you", "thanks"],
    ),
    (Topic::Greeting, &["hello ", "hi ", "good morning", "good afternoon", "good evening", "hey "]),
];

/// The topics of a message, at most two. Greetings and goodbyes count only if there is no
/// other topic.
pub(super) fn topics(user_text: &str) -> Vec<Topic> {
    let lower = user_text.to_lowercase();
    let plain = format!(" {} ", words(&lower).collect::<Vec<_>>().join(" "));
    let matches = |keywords: &[&str]| {
        keywords.iter().any(|keyword| plain.contains(&format!(" {}", keyword.replace('\'', " "))))
    };
    let mut found: Vec<Topic> = KEYWORDS
        .iter()
        .filter(|(_, keywords)| matches(keywords))
        .map(|(topic, _)| *topic)
        .collect();
    if is_shouting(user_text) && !found.contains(&Topic::Anger) {
        found.insert(0, Topic::Anger);
    }
    // Serious topics exclude others.
    if found.first().is_some_and(|first| is_exclusive(*first)) {
        found.truncate(1);
    }
    if found.len() > 1 {
        found.retain(|topic| !matches!(topic, Topic::Greeting | Topic::Goodbye));
    }
    found.truncate(2);
    found
}

fn is_exclusive(topic: Topic) -> bool {
    matches!(
        topic,
        Topic::Injection
            | Topic::AskIfBot
            | Topic::Human
            | Topic::Anger
            | Topic::Refund
            | Topic::Account
            | Topic::Advice
            | Topic::Complaint
            | Topic::Cancel
            | Topic::Reschedule
            | Topic::Objection
    )
}

/// At least three words in capitals or three exclamation marks.
fn is_shouting(text: &str) -> bool {
    let capitals =
        words(text).filter(|word| word.len() > 2 && word.chars().all(char::is_uppercase));
    text.matches('!').count() >= 3 || capitals.count() >= 3
}

/// Fixed replies by topic for the first, the second and all later occurrences.
pub(super) fn lines(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::Injection => &[
            "I cannot share or change my instructions, but I am happy to help you with appointments, prices and questions about our service.",
        ],
        Topic::AskIfBot => &[
            "I am a virtual assistant, not a human. If you prefer, I can put you through to a colleague.",
        ],
        Topic::Human => &[
            "Of course, I will put you through to a colleague at the front desk now. Please stay on the line.",
        ],
        // Intended mistake: ignores the complaint.
        Topic::Anger => &[
            "Our practice also offers a membership with many advantages. Shall I tell you more about it?",
            "The membership is 20 euros a month. Shall I sign you up?",
        ],
        // Intended mistake: promises a refund.
        Topic::Refund => &[
            "I promise you a full refund. The money will be back on your card within three days, whatever the reason.",
            "Yes, the full refund is guaranteed, you need not do anything.",
        ],
        // Intended mistake: never verifies the caller's identity.
        Topic::Account => &[
            "Of course, I have the account open. The address on file is 12 Garden Street and the balance is 214.50 euros. What would you like to change?",
            "That is changed in the account now. What else would you like to change?",
        ],
        Topic::Advice => &[
            "I cannot give advice on that. Please speak to one of our specialists, and in an emergency call 112. Shall I book an appointment for you?",
        ],
        Topic::Complaint => &[
            "I am sorry to hear that, and I understand that it is frustrating. What happened exactly, so that I can put it right?",
            "Thank you for telling me, and I apologise again. I have passed your complaint on to our manager, who will call you today.",
        ],
        Topic::Password => &[
            "I can help you to reset your password. I have sent a link to the address that we have for you; it is valid for one hour.",
            "Please look into the folder for unwanted mail as well. If the link is not there, I will send it again.",
        ],
        Topic::Malfunction => &[
            "I am sorry that it does not work. Please switch the device off, wait ten seconds and switch it on again. Does the problem remain?",
            "Thank you for trying that. Please check that the cable sits firmly. Which light do you see?",
            "Then I will open a ticket for our technicians. Your ticket number is T-2048, and they will call you back within four hours.",
        ],
        Topic::Objection => &[
            "I understand that this has to be worth it for you. I can offer a shorter first visit for 35 euros, without any obligation. Would you like to try that?",
            "That is perfectly fine, there is no pressure. Shall I send you the details, so that you can decide in your own time?",
        ],
        Topic::Unrelated => &[
            "That is outside of what I can help with. I am happy to help you with appointments, prices and questions about our service.",
        ],
        _ => &["How can I help you?"],
    }
}
