from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings
from langchain_groq import ChatGroq
from langchain_mistralai import ChatMistralAI

for model in [
    ChatAnthropic(model="claude-sonnet-4-5"),
    ChatGoogleGenerativeAI(model="gemini-2.5-flash"),
    ChatGroq(model="llama-3.3-70b-versatile"),
    ChatMistralAI(model_name="mistral-small-latest"),
]:
    print(model.invoke("hi").text)
    print("".join(chunk.text for chunk in model.stream("hi")))
print(len(GoogleGenerativeAIEmbeddings(model="gemini-embedding-001").embed_query("hi")))
