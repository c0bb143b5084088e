from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-5-mini")
print(model.invoke("hi").content)
print("".join(chunk.content for chunk in model.stream("hi")))
