from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-5-mini")
print(model.invoke("hi").content)
print("".join(chunk.content for chunk in model.stream("hi")))
def say(text: str) -> str:
    """Says a text."""
    return text


print(model.bind_tools([say], tool_choice="say").invoke("hi").tool_calls[0]["args"]["text"])
