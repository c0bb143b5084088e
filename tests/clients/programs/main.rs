use async_openai::{
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
    Client,
};
use futures::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new();
    let message = ChatCompletionRequestUserMessageArgs::default().content("hi").build()?;
    let mut request = CreateChatCompletionRequestArgs::default();
    request.model("gpt-5-mini").messages([message.into()]);
    let answer = client.chat().create(request.build()?).await?;
    println!("{}", answer.choices[0].message.content.clone().unwrap_or_default());
    let mut stream = client.chat().create_stream(request.stream(true).build()?).await?;
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        for choice in chunk?.choices {
            text += choice.delta.content.as_deref().unwrap_or("");
        }
    }
    println!("{text}");
    Ok(())
}
